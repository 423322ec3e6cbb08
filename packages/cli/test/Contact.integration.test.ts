/** `hikyaku contact ...` against a running API: why an address gets nothing, and how it is reached again. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { codes } from "@hikyaku/cli/Failure"
import { Effect } from "effect"
import * as TestApi from "../../server/test/rpc/TestApi.ts"
import { run } from "./RunCli.ts"

layer(TestApi.layer(), { excludeTestServices: true })("hikyaku contact", (it) => {
  const contact = (...args: ReadonlyArray<string>) => run("contact", ...args)
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
        out: "X@Shop.example gets the mails of crm again",
        err: ""
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
        out: "gone@shop.example: suppressed: hard bounce (no such mailbox)\nno system's mails are declined",
        err: ""
      })
      expect((yield* contact("unsuppress", "mail", "gone@shop.example")).out).toBe("gone@shop.example is reached again")
      expect((yield* contact("unsuppress", "mail", "gone@shop.example")).out).toBe(
        "gone@shop.example was not suppressed"
      )
      expect(yield* count("address_suppression")).toBe(0)
      expect((yield* contact("show", "post", "gone@shop.example")).code).toBe(codes.usage)
    }))
})
