/**
 * Where in an HTML document a template puts its values: text, attribute, script? Decided when a template is saved, by reading
 * its fixed parts as a browser would, so that escaping `<>&"'` is enough at every place that is allowed. A value in a script,
 * a style, a tag's name or an unquoted attribute is refused, since no escaping makes it safe there.
 */

/** Where a reader of the document is after some part of it. */
export interface HtmlPlace {
  readonly at:
    | "text"
    | "tagOpen"
    | "tagName"
    | "tag"
    | "attribute"
    | "equals"
    | "quoted"
    | "unquoted"
    | "comment"
    | "raw"
  /** Tag or raw text element that is being read, in lower case; a closing tag begins with a slash. */
  readonly element: string
  /** Attribute whose name or value is being read, in lower case. */
  readonly attribute: string
  /** What ends the attribute's value. */
  readonly quote: string
  /** Of an attribute that holds a URL: what has been read of it says where it leads, or not yet. */
  readonly url: "start" | "word" | "safe" | "unsafe"
  /** The part of a URL that may still turn out to be its scheme. */
  readonly word: string
}

export const documentStart: HtmlPlace = { at: "text", element: "", attribute: "", quote: "", url: "start", word: "" }

export const samePlace = (a: HtmlPlace, b: HtmlPlace): boolean =>
  a.at === b.at && a.element === b.element && a.attribute === b.attribute && a.quote === b.quote && a.url === b.url &&
  a.word === b.word

/** Elements whose content is not markup. In `title` and `textarea` values are text all the same. */
const rawElements: ReadonlySet<string> = new Set(["script", "style", "title", "textarea", "xmp", "iframe", "noembed"])
const urlAttributes: ReadonlySet<string> = new Set([
  "href",
  "src",
  "action",
  "formaction",
  "background",
  "poster",
  "cite",
  "data",
  "srcset",
  "xlink:href"
])
const schemesOfValues: ReadonlySet<string> = new Set(["http", "https", "mailto", "tel", "line"])
const schemesRefused: ReadonlySet<string> = new Set(["javascript", "data", "vbscript"])

const isSpace = (char: string): boolean =>
  char === " " || char === "\n" || char === "\t" || char === "\r" || char === "\f"
const isLetter = (char: string): boolean => (char >= "a" && char <= "z") || (char >= "A" && char <= "Z")
const readUrl = (place: HtmlPlace, char: string): HtmlPlace => {
  if (place.url === "safe" || place.url === "unsafe" || isSpace(char)) return place
  if (char === "/" || char === "?" || char === "#") return { ...place, url: "safe", word: "" }
  if (char === ":") return { ...place, url: schemesRefused.has(place.word.toLowerCase()) ? "unsafe" : "safe", word: "" }
  return { ...place, url: "word", word: place.word + char }
}

const tagEnds = (place: HtmlPlace): HtmlPlace =>
  rawElements.has(place.element)
    ? { ...documentStart, at: "raw", element: place.element }
    : documentStart

const afterName = (place: HtmlPlace, char: string): HtmlPlace => {
  if (char === ">") return tagEnds(place)
  if (isSpace(char) || char === "/") return { ...place, at: "tag", attribute: "" }
  return { ...place, at: "attribute", attribute: char.toLowerCase() }
}

/** Reads a fixed part of the document. */
export const readHtml = (from: HtmlPlace, text: string): HtmlPlace => {
  let place = from
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    switch (place.at) {
      case "text":
        if (char !== "<") continue
        if (text.startsWith("<!--", i)) {
          place = { ...documentStart, at: "comment" }
          i += 3
        } else place = { ...documentStart, at: "tagOpen" }
        continue
      case "tagOpen":
        // A "<" that no name follows is text.
        place = isLetter(char) || char === "/" || char === "!" || char === "?"
          ? { ...documentStart, at: "tagName", element: char.toLowerCase() }
          : documentStart
        continue
      case "tagName":
        place = isSpace(char) || char === ">" || (char === "/" && place.element !== "")
          ? afterName(place, char)
          : { ...place, element: place.element + char.toLowerCase() }
        continue
      case "tag":
        place = afterName(place, char)
        continue
      case "attribute":
        if (char === "=") place = { ...place, at: "equals" }
        else if (isSpace(char) || char === ">" || char === "/") place = afterName(place, char)
        else place = { ...place, attribute: place.attribute + char.toLowerCase() }
        continue
      case "equals":
        if (isSpace(char)) continue
        if (char === ">") place = tagEnds(place)
        else if (char === "\"" || char === "'") place = { ...place, at: "quoted", quote: char, url: "start", word: "" }
        else place = readUrl({ ...place, at: "unquoted", url: "start", word: "" }, char)
        continue
      case "quoted":
        if (char === place.quote) place = { ...documentStart, at: "tag", element: place.element }
        else if (urlAttributes.has(place.attribute)) place = readUrl(place, char)
        continue
      case "unquoted":
        if (isSpace(char) || char === ">") place = afterName({ ...documentStart, element: place.element }, char)
        continue
      case "comment":
        if (text.startsWith("-->", i)) {
          place = documentStart
          i += 2
        }
        continue
      case "raw":
        if (char === "<" && text.slice(i + 1, i + 2 + place.element.length).toLowerCase() === `/${place.element}`) {
          place = { ...documentStart, at: "tagName", element: "/" }
          i += 1
        }
        continue
    }
  }
  return place
}

export type ValuePlace =
  /** May stand here, escaped. `checked`: as a whole URL, so the value itself must lead somewhere harmless. */
  | { readonly _tag: "Allowed"; readonly checked: boolean; readonly next: HtmlPlace }
  | { readonly _tag: "Refused"; readonly why: string }

const refused = (why: string): ValuePlace => ({ _tag: "Refused", why })

/** Whether a value may stand at a place, and where the reader is after it. */
export const readValue = (place: HtmlPlace): ValuePlace => {
  switch (place.at) {
    case "text":
    case "comment":
      return { _tag: "Allowed", checked: false, next: place }
    case "raw":
      return place.element === "title" || place.element === "textarea"
        ? { _tag: "Allowed", checked: false, next: place }
        : refused(`no value may stand inside <${place.element}>`)
    case "quoted":
      if (place.attribute.startsWith("on") || place.attribute === "style" || place.attribute === "srcdoc") {
        return refused(`no value may stand in the attribute ${place.attribute}`)
      }
      if (!urlAttributes.has(place.attribute)) return { _tag: "Allowed", checked: false, next: place }
      if (place.url === "unsafe") return refused(`a link of this kind is refused in ${place.attribute}`)
      if (place.url === "word") return refused(`begin the URL in ${place.attribute} with https:// or a slash`)
      return { _tag: "Allowed", checked: place.url === "start", next: { ...place, url: "safe", word: "" } }
    case "equals":
    case "unquoted":
      return refused(`put the value of the attribute ${place.attribute} into quotes`)
    case "tagOpen":
    case "tagName":
    case "tag":
    case "attribute":
      return refused("no value may stand inside a tag but in a quoted attribute")
  }
}

/** Whether a value that stands for a whole URL leads somewhere harmless: a web page, an address, a place in this shop. */
export const isSafeUrl = (value: string): boolean => {
  // Only known schemes pass, so that it does not matter which characters browsers leave out of others.
  const end = value.search(/[:/?#]/)
  if (end < 0) return false
  return value[end] !== ":" || schemesOfValues.has(value.slice(0, end).toLowerCase())
}
