/** `hikyaku delivery ...` against a running API: a file of recipients, broken rows, and what operators see. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { codes } from "@hikyaku/cli/Failure"
import * as RequestSources from "@hikyaku/cluster/delivery/RequestSources"
import { layer as storeLayer } from "@hikyaku/cluster/delivery/RequestStore"
import { Effect, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { temporaryFolder } from "../../../test/TemporaryFolder.ts"
import * as TestApi from "../../server/test/rpc/TestApi.ts"
import { run } from "./RunCli.ts"

layer(TestApi.layer(), { excludeTestServices: true })("hikyaku delivery", (it) => {
  const hikyaku = (...args: ReadonlyArray<string>) => run("delivery", ...args)
  const file = (folder: string, name: string, content: string) =>
    Effect.promise(async () => {
      const place = path.join(folder, name)
      await fs.writeFile(place, content)
      return place
    })
  const later = () => new Date(Date.now() + 86_400_000).toISOString()

  it.scoped("MAIL-2: streams a file into a request, tells broken rows by line, takes them mended, resumes", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder("cli")
      const template = yield* file(
        folder,
        "sale.json",
        JSON.stringify({ en: { mail: { subject: "Sale", html: "<p>{{ parameters.points }}</p>", text: "Sale" } } })
      )
      expect(yield* hikyaku("template", "sale", template)).toMatchObject({ code: 0, out: "sale, version 1" })
      const registered = yield* hikyaku("system", "crm", "--template", "sale", "--json")
      const { key } = JSON.parse(registered.out) as { key: string }
      const rows = Array.from({ length: 2_500 }, (_, n) => `r${n}@shop.example,${n}`)
      const text = (lines: ReadonlyArray<string>) => `\ufeffaddress,points\n${lines.join("\n")}\n`
      const broken = rows.with(6, "nowhere,7").with(2_100, "\"a, b@shop.example\",1")
      const recipients = yield* file(folder, "recipients.csv", text(broken))
      const send = (place: string) =>
        hikyaku(
          "send",
          place,
          "--key",
          key,
          "--mail",
          "sale",
          "--template",
          "sale",
          "--deadline",
          later(),
          "--json",
          "--idempotency-key",
          "one"
        )
      const first = yield* send(recipients)
      expect(first.code).toBe(0)
      const answer = JSON.parse(first.out) as {
        request: { id: string; recipients: number; broken: number }
        faults: ReadonlyArray<{ line: number }>
      }
      expect(answer.request).toMatchObject({ recipients: 2_498, broken: 2 })
      expect(answer.faults.map(({ line }) => line)).toEqual([7, 2_101])
      const { id } = answer.request
      expect((yield* hikyaku("faults", id)).out).toMatch(/2,101\s+address\s+not an address/)
      const mended = yield* file(folder, "mended.csv", text(rows))
      expect((yield* hikyaku("fix", id, mended, "--key", key)).out).toBe("2 rows are mended, 0 are still broken.")
      expect((yield* hikyaku("show", id)).out).toMatch(/deliveries\s+2,500 due/)
      expect((yield* hikyaku("requests", "--system", "crm")).out).toContain(id)
      expect((yield* hikyaku("pause", id, "--key", key)).out).toBe("paused")
      expect((yield* hikyaku("cancel", id, "--key", key)).out).toBe("cancelled; 2500 recipients were withdrawn")
      expect(yield* hikyaku("pause", id, "--key", "wrong")).toMatchObject({ code: codes.refused })
    }))

  it.scoped("takes NDJSON, and a row that is none counts as broken", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder("cli")
      const registered = yield* hikyaku("system", "nd", "--template", "sale", "--json")
      const { key } = JSON.parse(registered.out) as { key: string }
      const recipients = yield* file(
        folder,
        "r.ndjson",
        "{\"address\":\"x@shop.example\"}\nnot json\n\n{\"member\":\"m1\"}\n"
      )
      const sent = yield* hikyaku(
        "send",
        recipients,
        "--key",
        key,
        "--mail",
        "nd",
        "--template",
        "sale",
        "--deadline",
        later()
      )
      expect(sent.out).toMatch(/recipients\s+2\n/)
      expect(sent.out).toMatch(/\n\s*2\s+address\s+give a member or an address/)
    }))

  it.scoped("MAIL-1: takes recipients from a registered table, tells broken rows by key, takes them mended", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const folder = yield* temporaryFolder("cli")
      yield* sql.unsafe(`create schema crm; create table crm.people (id integer primary key, mail text, points integer);
insert into crm.people select n, 'c' || n || '@shop.example', n from generate_series(1, 2500) n;
update crm.people set mail = 'nowhere' where id = 1700`)
      const table = (...args: ReadonlyArray<string>) =>
        hikyaku("recipients", "people", ...args, "--address-column", "mail", "--parameter", "points")
      expect(yield* table("people", "--key-column", "id")).toMatchObject({ code: codes.usage })
      expect((yield* table("crm.people", "--key-column", "mail")).err).toMatch(/key: mail must be unique/)
      expect((yield* table("crm.people", "--key-column", "id")).code).toBe(0)
      const registered = yield* hikyaku("system", "tab", "--template", "sale", "--table", "people", "--json")
      const { key } = JSON.parse(registered.out) as { key: string }
      const send = (...args: ReadonlyArray<string>) =>
        hikyaku("send", ...args, "--key", key, "--template", "sale", "--deadline", later())
      // As a runner does it, beside.
      const worker = Effect.flatMap(RequestSources.make, ({ step }) => step).pipe(Effect.provide(storeLayer))
      yield* Effect.forkScoped(Effect.repeat(worker, Schedule.spaced("20 millis")))
      const sent = yield* send("--table", "people", "--mail", "tab")
      expect(sent.out).toMatch(/taken from\s+table people, all taken/)
      expect(sent.out).toMatch(/recipients\s+2,499\n/)
      expect(sent.out).toMatch(/1,700\s+1700\s+address\s+not an address/)
      const [, id = ""] = /request\s+(\S+)/.exec(sent.out) ?? []
      yield* sql.unsafe("update crm.people set mail = 'mended@shop.example' where id = 1700")
      expect((yield* hikyaku("fix", id, "--key", key)).out).toBe("1 rows are mended, 0 are still broken.")
      expect((yield* hikyaku("show", id)).out).toMatch(/deliveries\s+2,500 due/)
      const segment = yield* file(folder, "segment.json", JSON.stringify({ _tag: "Everyone" }))
      expect(yield* send("--segment", segment, "--mail", "seg")).toMatchObject({ code: codes.refused })
      expect(yield* send("--segment", segment, "--table", "people", "--mail", "both")).toMatchObject({
        code: codes.usage
      })
      expect(yield* send("--table", "elsewhere", "--mail", "none")).toMatchObject({ code: codes.refused })
    }))

  it.effect("says what waits", () =>
    Effect.gen(function*() {
      const { code, out } = yield* hikyaku("queue")
      expect(code).toBe(0)
      expect(out).toMatch(/^class\s+due\s+later\s+in lists\s+oldest\s+predicted end/)
      expect(out).toMatch(/batch/)
    }))
})
