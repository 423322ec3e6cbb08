/** The command line against a running API: what it prints, and the exit codes that scripts see. */
import { NodeContext } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import * as Cli from "@hikyaku/cli/Cli"
import { codes } from "@hikyaku/cli/Failure"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Console, Effect, Exit } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { temporaryFolder } from "../../../test/TemporaryFolder.ts"
import * as TestApi from "../../server/test/rpc/TestApi.ts"

/** A console that keeps what is printed, by stream. */
const recorder = () => {
  const out: Array<string> = []
  const err: Array<string> = []
  const keep = (lines: Array<string>) => (...args: ReadonlyArray<unknown>) =>
    Effect.sync(() => void lines.push(args.join(" ")))
  const keepNow = (lines: Array<string>) => (...args: ReadonlyArray<unknown>) => void lines.push(args.join(" "))
  const plain = { ...globalThis.console, log: keepNow(out), error: keepNow(err) }
  return Effect.map(Console.consoleWith(Effect.succeed), (usual) => ({
    console: { ...usual, log: keep(out), error: keep(err), unsafe: plain },
    text: () => ({ out: out.join("\n"), err: err.join("\n") })
  }))
}

layer(TestApi.layer(), { excludeTestServices: true })("hikyaku", (it) => {
  /** Runs a command; its exit code and what it printed. */
  const hikyaku = (...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { port } = yield* Listener
      const { console, text } = yield* recorder()
      const exit = yield* Cli.run(["node", "hikyaku", ...args, "--url", `ws://127.0.0.1:${port}/rpc`]).pipe(
        Effect.provide(NodeContext.layer),
        Effect.withConsole(console),
        Effect.exit
      )
      return { code: Exit.isSuccess(exit) ? 0 : Cli.codeOf(exit.cause), ...text() }
    })

  const file = (name: string, content: string) =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder("cli")
      const place = path.join(folder, name)
      yield* Effect.promise(() => fs.writeFile(place, content))
      return place
    })

  it.effect("a product, the last one in stock, and one too late", () =>
    Effect.gen(function*() {
      expect(yield* hikyaku("product", "define", "tee", "--name", "Linen tee")).toMatchObject({ code: 0 })
      expect((yield* hikyaku("product", "stock", "tee", "--level", "1")).out).toMatch(/available\s+1/)
      const first = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--json")
      const { outcome, ticket } = JSON.parse(first.out) as { outcome: { _tag: string }; ticket: string }
      expect(outcome._tag).toBe("Allocated")
      const again = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--ticket", ticket)
      expect(again).toMatchObject({ code: 0, out: expect.stringContaining("number 1") })
      const late = yield* hikyaku("cart", "add", "tee", "--member", "m2")
      expect(late).toMatchObject({ code: codes.refused, err: expect.stringContaining("sold out") })
      const status = yield* hikyaku("cart", "status", ticket, "--product", "tee")
      expect(status.out).toContain("in the cart")
      expect((yield* hikyaku("product", "stock", "tee", "--delta=3", "--source-version", "1")).err).toMatch(/not newer/)
    }))

  it.effect("errors say what to do next, each kind with its exit code", () =>
    Effect.gen(function*() {
      const unknown = yield* hikyaku("cart", "add", "nothing", "--member", "m1")
      expect(unknown).toMatchObject({
        code: codes.refused,
        err: expect.stringContaining("hikyaku product define nothing")
      })
      const bad = yield* hikyaku("cart", "add", "a b", "--member", "m1")
      expect(bad).toMatchObject({ code: codes.usage, err: expect.stringContaining("product: ") })
      const many = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--quantity", "0")
      expect(many).toMatchObject({ code: codes.usage, err: expect.stringContaining("between 1 and 10000") })
      expect(yield* hikyaku("cart", "ad")).toMatchObject({ code: codes.usage })
      expect(yield* hikyaku("cart", "add")).toMatchObject({ code: codes.usage })
      const empty = yield* hikyaku("cart", "checkout", "--member", "nobody")
      expect(empty).toMatchObject({ code: codes.refused, err: expect.stringContaining("nothing in nobody's cart") })
      const { console, text } = yield* recorder()
      const nowhere = yield* Cli.run(["node", "hikyaku", "status", "--url", "ws://127.0.0.1:1/rpc"]).pipe(
        Effect.provide(NodeContext.layer),
        Effect.withConsole(console),
        Effect.exit
      )
      expect(Exit.isFailure(nowhere) && Cli.codeOf(nowhere.cause)).toBe(codes.unreachable)
      expect(text().err).toContain("npm start")
    }))

  it.scoped("events from a file: a broken line is named, and what is published is said", () =>
    Effect.gen(function*() {
      const event = (id: string, extra = {}) =>
        JSON.stringify({
          source: "shop",
          id,
          at: Date.now(),
          happening: { _tag: "Viewed", member: "m1", product: "tee" },
          ...extra
        })
      const good = yield* file("good.ndjson", `${event("a")}\n\n${event("b")}\n`)
      expect((yield* hikyaku("event", "publish", good)).out).toContain("2 appended")
      expect((yield* hikyaku("event", "publish", good)).out).toContain("2 known already")
      const bad = yield* file("bad.ndjson", `${event("c")}\n${event("d")}\n{"source": \n${event("e")}\n`)
      const broken = yield* hikyaku("event", "publish", bad, "--batch", "2")
      expect(broken).toMatchObject({ code: codes.usage, err: expect.stringContaining("line 3: not valid JSON") })
      expect(broken.err).toContain("up to 2 are published")
      const late = yield* file("late.ndjson", `\n\n${event("f", { at: 1_000_000_000_000 })}\n`)
      expect((yield* hikyaku("event", "publish", late)).err).toContain("line 3.at")
      const typo = yield* file(
        "typo.ndjson",
        event("g", { happening: { _tag: "Vieved", member: "m1", product: "tee" } })
      )
      expect((yield* hikyaku("event", "publish", typo)).err).toMatch(/line 1: happening/)
      expect(yield* hikyaku("event", "publish", "/nothing/here")).toMatchObject({
        code: codes.usage,
        err: "There is no file /nothing/here."
      })
    }))

  it.scoped("a campaign from YAML: faults with their places, then stored, paused, resumed", () =>
    Effect.gen(function*() {
      const yaml = `
id: weekly
name: Weekly
trigger: { _tag: Cron, cron: "0 9 * * 1" }
class: batch
priority: 100
channels: [mail]
segment: { _tag: Everyone }
deadlineMs: 86400000
timePolicy: { _tag: Immediate }
content: { en: { mail: { subject: Hello, html: <p>Hello</p>, text: Hello } } }
`
      const good = yield* file("weekly.yaml", yaml)
      const bad = yield* file("bad.yaml", yaml.replace("priority", "prioritty"))
      const faulty = yield* hikyaku("campaign", "validate", bad)
      expect(faulty).toMatchObject({ code: codes.refused, err: expect.stringContaining("did you mean priority") })
      expect((yield* hikyaku("campaign", "validate", yield* file("x.yaml", "a: [1"))).err).toContain("not valid YAML")
      expect((yield* hikyaku("campaign", "apply", good, "--author", "ann")).out).toContain("Version 1 is stored")
      expect((yield* hikyaku("campaign", "apply", good)).out).toContain("Nothing to do")
      expect((yield* hikyaku("campaign", "pause", "weekly")).out).toContain("weekly is paused")
      expect((yield* hikyaku("campaign", "resume", "weekly")).out).toContain("weekly is active")
      expect(yield* hikyaku("campaign", "pause", "nothing")).toMatchObject({ code: codes.refused })
      expect((yield* hikyaku("campaign", "explain", "m1", "nothing")).err).toContain("There is no run nothing")
    }))

  it.effect("status and audit", () =>
    Effect.gen(function*() {
      const status = yield* hikyaku("status")
      expect(status).toMatchObject({ code: 0, out: expect.stringContaining("store") })
      // Actors of this test live in memory: the rows are made up.
      const sql = yield* SqlClient.SqlClient
      for (const id of ["a1", "a2", "a3"]) {
        yield* sql`insert into product (id, version, writer, cell, epoch, clock, name, cart_ms, offer_ms, low_threshold,
          counting, ran_out, taken_in, shortage, available, allocated, offered, sold, sequence, place)
          values (${id}, 1, 'w', 'c', 0, now(), ${id}, 1, 1, 1, false, false, 5, 0, 5, 0, 0, 0, 0, 0)`
      }
      const whole = yield* hikyaku("audit", "--page", "2")
      expect(whole).toMatchObject({ code: 0, out: "The books of 3 products, 0 cart lines agree." })
      expect(whole.err).toContain("2 products")
      expect((yield* hikyaku("audit", "--after", "a2")).out).toContain("The books of 1 products")
      yield* sql`update product set allocated = 1, available = 4 where id = 'a3'`
      const wrong = yield* hikyaku("audit")
      expect(wrong).toMatchObject({ code: codes.refused, out: expect.stringContaining("a3") })
      expect(JSON.parse((yield* hikyaku("status", "--json")).out)).toMatchObject({ health: { ok: true } })
    }))
})
