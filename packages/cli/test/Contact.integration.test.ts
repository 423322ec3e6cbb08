/** `hikyaku contact ...` against a running API: why an address gets nothing, and how it is reached again. */
import { NodeContext } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import * as Cli from "@hikyaku/cli/Cli"
import { codes } from "@hikyaku/cli/Failure"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Console, Effect, Exit } from "effect"
import * as TestApi from "../../server/test/rpc/TestApi.ts"

layer(TestApi.layer(), { excludeTestServices: true })("hikyaku contact", (it) => {
  /** Runs a command; its exit code and what it printed. */
  const contact = (...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { port } = yield* Listener
      const lines: Array<string> = []
      const keep = (...parts: ReadonlyArray<unknown>) => Effect.sync(() => void lines.push(parts.join(" ")))
      const keepNow = (...parts: ReadonlyArray<unknown>) => void lines.push(parts.join(" "))
      const usual = yield* Console.consoleWith(Effect.succeed)
      const console: Console.Console = {
        ...usual,
        log: keep,
        error: keep,
        unsafe: { ...globalThis.console, log: keepNow, error: keepNow }
      }
      const exit = yield* Cli.run(["node", "hikyaku", "contact", ...args, "--url", `ws://127.0.0.1:${port}/rpc`]).pipe(
        Effect.provide(NodeContext.layer),
        Effect.withConsole(console),
        Effect.exit
      )
      return { code: Exit.isSuccess(exit) ? 0 : Cli.codeOf(exit.cause), out: lines.join("\n") }
    })
  const count = (table: string) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.map(
        sql.unsafe<{ readonly n: number }>(`select count(*)::integer as n from ${table}`),
        ([row]) => row?.n
      ))

  it.effect("shows whose mails an address has declined, and takes that back for one system alone", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into address_unsubscribed (channel, address, system, delivery)
        values ('mail', 'x@shop.example', 'crm', 'd1'), ('mail', 'x@shop.example', 'erp', 'd2')`
      const shown = yield* contact("show", "mail", "x@shop.example")
      expect(shown.code).toBe(0)
      expect(shown.out).toMatch(/^x@shop.example: not suppressed\ndeclined system +since\ncrm .*\nerp /)
      // Whatever the case it is written in: mail has none.
      expect(yield* contact("resubscribe", "mail", "X@Shop.example", "crm")).toEqual({
        code: 0,
        out: "X@Shop.example gets the mails of crm again"
      })
      const again = yield* contact("resubscribe", "mail", "x@shop.example", "crm")
      expect(again.out).toBe("x@shop.example had not declined the mails of crm")
      const { unsubscribed } = JSON.parse((yield* contact("show", "mail", "x@shop.example", "--json")).out) as {
        unsubscribed: ReadonlyArray<{ system: string }>
      }
      expect(unsubscribed.map(({ system }) => system)).toEqual(["erp"])
      expect(yield* count("address_unsubscribed")).toBe(1)
    }))

  it.effect("shows why an address is suppressed, and lets it be reached again", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into address_suppression (channel, address, cause, reason)
        values ('mail', 'gone@shop.example', 'hard bounce', 'no such mailbox')`
      expect(yield* contact("show", "mail", "gone@shop.example")).toEqual({
        code: 0,
        out: "gone@shop.example: suppressed: hard bounce (no such mailbox)\nno system's mails are declined"
      })
      expect((yield* contact("unsuppress", "mail", "gone@shop.example")).out).toBe("gone@shop.example is reached again")
      expect((yield* contact("unsuppress", "mail", "gone@shop.example")).out).toBe(
        "gone@shop.example was not suppressed"
      )
      expect(yield* count("address_suppression")).toBe(0)
      expect((yield* contact("show", "post", "gone@shop.example")).code).toBe(codes.usage)
    }))
})
