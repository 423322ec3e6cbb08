import {
  compileContent,
  describeFault,
  type FieldFault,
  type Fields,
  missingVariables,
  renderContent
} from "@hikyaku/domain/marketing/Content"
import { contentScope, contentVariables } from "@hikyaku/domain/marketing/ContentScope"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import type { ScopeValue } from "@hikyaku/domain/marketing/Template"
import { TrustedHtml } from "@hikyaku/domain/marketing/TemplateEngine"
import { Either } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const compiled = (channel: Channel, sources: Fields) => Either.getOrThrow(compileContent(channel, sources))
const input = (scope: Readonly<Record<string, ScopeValue>>) => ({
  scope,
  timeZone: "Asia/Tokyo",
  language: "ja" as const
})
const rendered = (
  channel: Channel,
  sources: Fields,
  scope: Readonly<Record<string, ScopeValue>>
): Fields | FieldFault => Either.merge(renderContent(compiled(channel, sources), input(scope)))
const faults = (channel: Channel, sources: Fields): ReadonlyArray<FieldFault> =>
  Either.match(compileContent(channel, sources), { onLeft: (faults) => faults, onRight: () => [] })

const product = { id: "p-1", name: "コート <春> & \"夏\"", price: 12800 }
const mail = { subject: "{{ product.name }}", html: "<p>{{ product.name }}</p>", text: "{{ product.name }}" }

describe("content by channel", () => {
  it("makes a mail, escaping for HTML and for HTML only", () => {
    expect(rendered("mail", mail, { product })).toEqual({
      subject: "コート <春> & \"夏\"",
      html: "<p>コート &lt;春&gt; &amp; &#34;夏&#34;</p>",
      text: "コート <春> & \"夏\""
    })
  })

  it("makes JSON in which a value is a value, whatever it contains", () => {
    const message = "{\"type\": \"text\", \"text\": \"{{ product.name }} が {{ product.price | number }}円\"}"
    const nasty = "\", \"type\": \"evil\\u0000\n\u2028}],{[</script> 𠮷"
    const fields = rendered("line", { message }, { product: { name: nasty, price: 12800 } })
    expect("message" in fields && JSON.parse(String(fields.message))).toEqual({
      type: "text",
      text: `${nasty} が 12,800円`
    })
  })

  it("gives back every text whole from JSON, but for halves of characters", () => {
    const line = compiled("line", { message: "[{\"type\": \"text\", \"text\": \"{{ t }}\"}]" })
    fc.assert(fc.property(fc.oneof(fc.fullUnicodeString(), fc.string16bits()), (t) => {
      const { message } = Either.getOrThrow(renderContent(line, input({ t })))
      expect(JSON.parse(String(message))).toEqual([{ type: "text", text: t.toWellFormed() }])
    }))
  })

  it("refuses JSON in which a value stands outside of quotes and is no plain number", () => {
    const payload = { payload: "{\"count\": {{ n }}, \"admin\": false}" }
    expect(rendered("push", payload, { n: 3 })).toEqual({ payload: "{\"count\": 3, \"admin\": false}" })
    for (const n of ["1, \"admin\": true", "1}", "[1]", "\"x\"", "{}", "1:2"]) {
      expect(rendered("push", payload, { n })).toMatchObject({
        _tag: "ContentFault",
        kind: "NotJson",
        field: "payload"
      })
    }
  })

  it("checks what the channel demands of the whole", () => {
    expect(rendered("line", { message: "{\"text\": \"x\"}" }, {})).toMatchObject({ kind: "Unfit", field: "message" })
    expect(rendered("line", { message: "[]" }, {})).toMatchObject({ kind: "Unfit" })
    const six = JSON.stringify(Array.from({ length: 6 }, () => ({ type: "text", text: "x" })))
    expect(rendered("line", { message: six }, {})).toMatchObject({ kind: "Unfit" })
    expect(rendered("push", { payload: "[1]" }, {})).toMatchObject({ kind: "Unfit" })
    // 1,400 characters of three bytes each are too many for a push service.
    expect(rendered("push", { payload: "{\"body\": \"{{ text }}\"}" }, { text: "あ".repeat(1_400) })).toMatchObject({
      kind: "Unfit"
    })
    expect(rendered("push", { payload: "{\"body\": \"{{ text }}\"}" }, { text: "あ".repeat(1_300) })).toHaveProperty(
      "payload"
    )
    expect(rendered("mail", { ...mail, subject: "{{ product.name }}" }, { product: { name: " " } })).toMatchObject({
      kind: "Unfit"
    })
  })

  it("refuses line breaks in a subject, so that no header can be added", () => {
    for (const name of ["a\r\nBcc: x@example.com", "a\nb", "a\u2028b", "a\u0000b", "a\u0085b"]) {
      expect(rendered("mail", mail, { product: { name } })).toMatchObject({ field: "subject", kind: "LineBreak" })
    }
    // The template's own last line break is none.
    expect(rendered("mail", { ...mail, subject: "春のセール\n" }, { product })).toMatchObject({ subject: "春のセール" })
  })

  it("names every field that is missing, unknown or wrong", () => {
    expect(faults("mail", { subject: "{{ a", html: "<p>", foot: "" }).map((fault) => [fault.field, fault.kind]))
      .toEqual([
        ["foot", "Unfit"],
        ["subject", "Syntax"],
        ["text", "Missing"]
      ])
  })

  it("never leaves half a character", () => {
    const fields = rendered("onsite", { title: "x", body: "{{ t | slice: 0, 1 }}{{ t | truncate: 2, '' }}" }, {
      t: "𠮷野家"
    })
    expect("body" in fields && String(fields.body).isWellFormed()).toBe(true)
  })
})

describe("parameters", () => {
  it("are known before anything is rendered, each once, without what the template makes itself", () => {
    const { variables } = compiled("mail", {
      subject: "{{ product.name }}",
      html:
        "{% assign x = parameters.before | minus: product.price %}{% for c in product.attributes.colours %}<i>{{ c }}</i>" +
        "{{ forloop.index }}{% endfor %}{{ x }}{% if member.language == 'ja' %}{{ parameters[member.id] }}{% endif %}",
      text: "{{ product.name }}{{ product.attributes.sizes.size }}"
    })
    expect(variables).toEqual([
      "member.id",
      "member.language",
      "parameters.*",
      "parameters.before",
      "product.attributes.colours",
      "product.attributes.sizes",
      "product.name",
      "product.price"
    ])
  })

  it("that nobody will give are found before launch, with a hint", () => {
    const known = contentVariables(["before", "after"], true)
    const names = [
      "product.nme",
      "product.attributes.colour",
      "parameters.after",
      "parameters.coupon",
      "member.*",
      "today"
    ]
    expect(missingVariables(names, known)).toEqual([
      { name: "product.nme", hint: "did you mean product.name?" },
      { name: "parameters.coupon", hint: null },
      { name: "today", hint: null }
    ])
    expect(missingVariables(["parameters.coupon"], contentVariables(null, false))).toEqual([])
    expect(missingVariables(["product.name"], contentVariables(null, false))).toHaveLength(1)
  })

  it("without a value are a fault that names them and their place", () => {
    const html = "<p>\n  {{ product.name }} {{ product.brand }}</p>"
    const fault = rendered("mail", { ...mail, html }, { product })
    expect(fault).toMatchObject({
      field: "html",
      kind: "Missing",
      message: "product.brand has no value",
      line: 2,
      column: 25
    })
    expect(describeFault(fault as FieldFault)).toBe("html, line 2, column 25: product.brand has no value")
    expect(rendered("mail", { ...mail, html: "{{ product.price }}" }, { product: { ...product, price: null } }))
      .toMatchObject({
        kind: "Missing"
      })
  })

  it("may be asked for without being used", () => {
    const html =
      "{% if product.brand %}{{ product.brand }}{% else %}no{% endif %} {{ product.brand | default: 'none' }}"
    expect(rendered("mail", { ...mail, html }, { product })).toMatchObject({ html: "no none" })
  })

  it("come from the delivery's subject, and what is not known of it is absent", () => {
    const scope = contentScope({
      campaign: { id: "c", name: "春" },
      member: { id: "m", language: null, attributes: { 会員: "金" } },
      product: { id: "p", name: "シャツ", price: null, category: null, brand: null, stock: 1, attributes: {} },
      parameters: { before: 2000 },
      banners: "<a href=\"https://example.jp/\">春</a>"
    })
    expect(scope["product"]).toEqual({ id: "p", name: "シャツ", stock: 1, attributes: {} })
    const html = "{{ member.attributes.会員 }} {{ parameters.before | number }} {{ banners }}"
    expect(rendered("mail", { subject: "{{ campaign.name }}", html, text: "x" }, scope)).toEqual({
      subject: "春",
      html: "金 2,000 <a href=\"https://example.jp/\">春</a>",
      text: "x"
    })
  })
})

describe("places in HTML", () => {
  const place = (html: string) => faults("mail", { ...mail, html })[0]
  const scope = { v: "x", url: "https://example.jp/?a=1&b=2", banners: new TrustedHtml("<b>!</b>") }

  it("take values in text, quoted attributes, titles and comments", () => {
    const html =
      "<!DOCTYPE html><title>{{ v }}</title><!-- {{ v }} --><br/><img alt='{{ v }}' src=\"https://x/{{ v }}\">" +
      "<a href=\"{{ url }}\" title=\"a > b {{ v }}\">{{ v }}</a> 1 < 2 {{ v }}"
    expect(place(html)).toBeUndefined()
    expect(rendered("mail", { ...mail, html }, { ...scope, product })).toMatchObject({
      html: "<!DOCTYPE html><title>x</title><!-- x --><br/><img alt='x' src=\"https://x/x\">" +
        "<a href=\"https://example.jp/?a=1&amp;b=2\" title=\"a > b x\">x</a> 1 < 2 x"
    })
  })

  it("refuse values where no escaping would do, with line and column", () => {
    const refused = [
      "<script>var a = '{{ v }}'</script>",
      "<SCRIPT >{{ v }}</SCRIPT>",
      "<style>{{ v }}</style>",
      "<a href={{ v }}>",
      "<a href=x{{ v }}>",
      "<a {{ v }}>",
      "<{{ v }}>",
      "<a onclick=\"{{ v }}\">",
      "<p style='color: {{ v }}'>",
      "<iframe srcdoc=\"{{ v }}\">",
      "<a href=\"java{{ v }}\">",
      "<a href=\" javascript:{{ v }}\">",
      "<a title=\"{% if v %}\"{% endif %}{{ v }}>",
      "{% if v %}<a title=\"{% endif %}{{ v }}\">",
      "{% for i in v %}<a title=\"{% endfor %}",
      "<p>{% for i in v %}<a title=\"{% break %}\">{% endfor %}",
      "<p title=\"{{ v }}"
    ]
    for (const html of refused) expect([html, place(html)?.kind]).toEqual([html, "UnsafePlace"])
    expect(place("<p>\n <a href={{ v }}>x</a>")).toMatchObject({ line: 2, column: 10 })
  })

  it("follow every way through conditions", () => {
    const html = "<a {% if v %}title=\"{{ v }}\"{% else %}class='x'{% endif %}>{{ v }}</a>" +
      "{% case v %}{% when 'x' %}<b>{{ v }}</b>{% else %}y{% endcase %}"
    expect(place(html)).toBeUndefined()
    expect(rendered("mail", { ...mail, html }, { ...scope, product })).toMatchObject({
      html: "<a title=\"x\">x</a><b>x</b>"
    })
  })

  it("refuse links of a value that run code, however they are written", () => {
    const html = "<a href=\"{{ url }}\">x</a>"
    const links = [
      "javascript:alert(1)",
      " JaVa\tScript:alert(1)",
      "data:text/html,x",
      "vbscript:x",
      "index",
      "",
      "\u0001javascript:x"
    ]
    for (const url of links) {
      expect(rendered("mail", { ...mail, html }, { product, url })).toMatchObject({ field: "html", kind: "BadValue" })
    }
    for (const url of ["https://x/", "mailto:a@x", "/p/1?x=a:b", "?q", "#top", "p/1"]) {
      expect(rendered("mail", { ...mail, html }, { product, url })).toHaveProperty("html")
    }
  })

  it("take our own HTML in text only, and never a parameter's", () => {
    expect(rendered("mail", { ...mail, html: "{{ banners }}" }, { ...scope, product })).toMatchObject({
      html: "<b>!</b>"
    })
    expect(rendered("mail", { ...mail, html: "<p title=\"{{ banners }}\">" }, { ...scope, product })).toMatchObject({
      kind: "BadValue"
    })
    expect(rendered("mail", { ...mail, text: "{{ banners }}" }, { ...scope, product })).toMatchObject({
      kind: "BadValue"
    })
    expect(rendered("mail", { ...mail, html: "{{ b }}" }, { b: { html: "<b>" }, product })).toMatchObject({
      kind: "BadValue"
    })
  })
})

describe("templates are closed", () => {
  const kind = (text: string, scope: Readonly<Record<string, ScopeValue>> = {}) => {
    const compiled = compileContent("onsite", { title: "x", body: text })
    if (Either.isLeft(compiled)) return compiled.left[0]?.kind
    const fields = Either.merge(renderContent(compiled.right, input(scope)))
    return "_tag" in fields ? fields.kind : fields["body"]
  }

  it("to files, other templates and whatever else is not listed", () => {
    for (
      const tag of [
        "include 'a'",
        "render 'a'",
        "layout 'a'",
        "echo x",
        "liquid x",
        "cycle 'a', 'b'",
        "capture a",
        "increment a"
      ]
    ) {
      expect([tag, kind(`{% ${tag} %}`)]).toEqual([tag, "UnknownTag"])
    }
    for (
      const filter of [
        "raw",
        "escape",
        "json",
        "inspect",
        "sample",
        "date_to_xmlschema",
        "where_exp: 'a', 'b'",
        "base64_decode"
      ]
    ) {
      expect([filter, kind(`{{ 'x' | ${filter} }}`)]).toEqual([filter, "UnknownFilter"])
    }
    expect(faults("onsite", { title: "x", body: "{{ 'x' | upcse }}{{ 'x' | raw }}" })[0]).toMatchObject({
      hint: "did you mean upcase?",
      line: 1,
      column: 1
    })
    expect(faults("onsite", { title: "x", body: "{{ 'x' | escape }}" })[0]?.hint).toContain("escaped for their place")
  })

  it("to the clock and to the machine's time zone and language", () => {
    for (const date of ["'now'", "'today'", "'tomorrow'", "'June 1, 2025'", "''", "nothing"]) {
      expect([date, kind(`{{ ${date} | date: '%Y' }}`)]).toEqual([date, date === "nothing" ? "Missing" : "BadValue"])
    }
    expect(kind("{{ at | date: '%Y-%m-%d %H:%M' }}", { at: Date.parse("2025-06-01T15:30:00Z") })).toBe(
      "2025-06-02 00:30"
    )
    expect(kind("{{ '2025-06-01T15:30:00Z' | date: '%-m月%-d日(%a) %p%I時' }}")).toBe("6月2日(月) 午前12時")
    expect(kind("{{ '2025-06-01T15:30:00-04:00' | date: '%H:%M' }}")).toBe("04:30")
    expect(kind("{{ '2025-06-01' | date }}")).toBe("2025年6月1日")
    expect(kind("{{ '2025-06-01T09:00' | date: '%H%%' }}")).toBe("09%")
    expect(kind("{{ '2025-06-01' | date: '%Q' }}")).toBe("BadValue")
    expect(kind("{{ '2025-13-01' | date }}")).toBe("BadValue")
  })

  it("to prototypes and built-in properties", () => {
    for (
      const path of [
        "x.constructor",
        "x.__proto__",
        "x.toString",
        "constructor",
        "__proto__",
        "hasOwnProperty"
      ]
    ) {
      expect([path, kind(`{{ ${path} }}`, { x: { a: "b" } })]).toEqual([path, "Missing"])
    }
    expect(kind("{% assign __proto__ = 'x' %}{{ y.polluted | default: 'clean' }}", { y: {} })).toBe("clean")
  })

  it("with their faults named by line and column", () => {
    expect(faults("onsite", { title: "x", body: "a\nb {% if x %}" })[0]).toMatchObject({
      kind: "Syntax",
      line: 2,
      column: 3
    })
    expect(faults("onsite", { title: "x", body: "\n\n  {{ a | }} {% iff %}" })[0]).toMatchObject({
      kind: "UnknownTag",
      line: 3,
      hint: "did you mean if?"
    })
    expect(kind("{{ 'x' | number }}")).toBe("BadValue")
    expect(kind("{{ -1234567.891 | number: 2 }} {{ -0.4 | number }}")).toBe("-1,234,567.89 0")
    expect(kind("{{ x }}", { x: { a: 1 } })).toBe("BadValue")
    expect(kind("{{ x }}", { x: [1] })).toBe("BadValue")
  })
})

describe("templates are bounded", () => {
  const cost = (body: string, scope: Readonly<Record<string, ScopeValue>> = {}): string | undefined => {
    const from = performance.now()
    const compiled = compileContent("onsite", { title: "x", body })
    const outcome = Either.isLeft(compiled)
      ? compiled.left[0]?.kind
      : Either.match(renderContent(compiled.right, input(scope)), {
        onLeft: (fault) => fault.kind,
        onRight: () => "Rendered"
      })
    // Generous: it is there to notice minutes and gigabytes, not to measure.
    expect(performance.now() - from).toBeLessThan(5_000)
    return outcome
  }

  it("in length, nesting, loops, memory and output", () => {
    expect(cost("x\u0000")).toBe("Syntax")
    expect(cost("x\ud800")).toBe("Syntax")
    expect(cost("x".repeat(200_001))).toBe("TooLong")
    expect(cost("{% if a %}".repeat(10_000) + "x" + "{% endif %}".repeat(5_000))).toBe("TooNested")
    expect(cost("{%- unless a %}{{ '}}' }}".repeat(5_000))).toBe("TooNested")
    expect(cost(`{{ "}}" | append: ${"a[".repeat(20_000)}`)).toBe("TooNested")
    expect(cost(`{% for i in ${"(".repeat(20_000)} %}{% endfor %}`)).toBe("TooNested")
    // Text is text.
    expect(cost(":( ".repeat(500) + "[".repeat(500))).toBe("Rendered")
    expect(cost("{% if true %}x{% endif %}".repeat(300))).toBe("Rendered")
    expect(cost("{% if true %}".repeat(21) + "x" + "{% endif %}".repeat(21))).toBe("TooNested")
    expect(cost("{% if true %}".repeat(20) + "x" + "{% endif %}".repeat(20))).toBe("Rendered")
    expect(cost("{% for i in (1..100000000) %}{% endfor %}")).toBe("TooMuchWork")
    expect(cost("{% for i in (1..9000) %}{% for j in (1..9000) %}{% endfor %}{% endfor %}")).toBe("TooMuchWork")
    expect(cost("{% for i in (1..9000) %}{% for j in a %}{% for k in a %}{% endfor %}{% endfor %}{% endfor %}", {
      a: Array.from({ length: 100 }, () => 1)
    })).toBe("TooMuchWork")
    expect(cost("{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}".repeat(60) + "{{ a }}")).toBe(
      "TooMuchWork"
    )
    expect(cost("{% assign a = 'aaaaaaaaaa' %}" + "{% assign a = a | replace: 'a', a %}".repeat(20) + "{{ a }}")).toBe(
      "TooMuchWork"
    )
    expect(cost("{% for i in (1..9000) %}{{ a }}{% endfor %}", { a: "x".repeat(1_000) })).toBe("TooMuchWork")
    expect(cost("{{ 1 }}".repeat(28_000))).toBe("TooMuchWork")
    expect(cost(`{{ a${" | upcase".repeat(20_000)} }}`, { a: "x".repeat(100) })).toBe("TooMuchWork")
    expect(cost("<a title=\"" + "<".repeat(190_000) + "\">")).toBe("Rendered")
    expect(cost("{{ a | split: '' | sort | join: ',' | size }}", { a: "x".repeat(90_000) })).toMatch(
      /TooMuchWork|Rendered/
    )
  })

  it("in the same place on every machine: a rendering depends on its input alone", () => {
    const body = "{% for i in (1..4000) %}{{ i }}{% endfor %}"
    const once = Either.getOrThrow(renderContent(compiled("onsite", { title: "x", body }), input({})))
    expect(Either.getOrThrow(renderContent(compiled("onsite", { title: "x", body }), input({})))).toEqual(once)
    expect(cost("{% for i in (1..5000) %}{{ i }}{% endfor %}")).toBe("TooMuchWork")
  })
})
