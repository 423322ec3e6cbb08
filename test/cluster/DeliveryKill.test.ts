/**
 * A batch with realtime mails between it, through two kill -9 of the runner that sends it. Nothing that Hikyaku says about
 * itself counts: the verdict is the sandbox's own record. With HIKYAKU_KILL_RECIPIENTS=200000 it is the run of
 * docs/testing.md, which takes minutes.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as DemoProcess from "@hikyaku/server/demo/DemoProcess"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs/promises"
import { makeDue, seed, type Sql } from "../../bench/dispatch/Due.ts"
import { deliveryOf, type MailRequest, provider, sandboxSettings } from "../../bench/dispatch/Mix.ts"
import { percentile, testimony } from "../../bench/dispatch/Witness.ts"
import { temporaryFolder } from "../TemporaryFolder.ts"
import { freePort, type Member, startCluster } from "./Harness.ts"
import { until } from "./Scene.ts"
import { serverProgram } from "./ServerProgram.ts"

const concurrency = 8
/** Between two realtime mails, ms. */
const realtimeEvery = 1_000
const batchId = "batch"

const setUp = Config.all({
  recipients: Config.withDefault(Config.integer("HIKYAKU_KILL_RECIPIENTS"), 5_000),
  minutes: Config.withDefault(Config.number("HIKYAKU_KILL_MINUTES"), 2)
})

/** Number of the last takeover of which the log of a member tells; 0 before the first. */
const lastTakeover = (member: Member) =>
  Effect.promise(async () => {
    const lines = (await fs.readFile(member.log, "utf8").catch(() => "")).split("\n")
    const epochs = lines.filter((line) => line.includes("Dispatching")).map((line) =>
      Number(/epoch=(\d+)/.exec(line)?.[1])
    )
    return Math.max(0, ...epochs)
  })

const startSandbox = Effect.gen(function*() {
  const folder = yield* temporaryFolder("sandbox")
  const process_ = yield* DemoProcess.start({
    name: "sandbox",
    args: [yield* serverProgram, "sandbox"],
    environment: {
      ...process.env,
      HIKYAKU_SANDBOX_HOST: "127.0.0.1",
      HIKYAKU_SANDBOX_PORT: String(yield* freePort),
      HIKYAKU_SANDBOX_API_KEY: "",
      HIKYAKU_SANDBOX_FOLDER: folder
    },
    logFolder: folder
  })
  const url = String(process_.ready["url"])
  const answer = yield* Effect.promise(() =>
    fetch(`${url}/v1/settings`, { method: "PUT", body: JSON.stringify(sandboxSettings(concurrency)) })
  )
  if (!answer.ok) return yield* Effect.dieMessage(`the sandbox refuses its settings: HTTP ${answer.status}`)
  return { folder, url }
})

describe("G9, G10, G11, G12: the runner that sends a batch is killed twice (kill -9)", () => {
  it.scopedLive(
    "every recipient gets it once, the limit holds, realtime overtakes: by the sandbox's record alone",
    () =>
      Effect.gen(function*() {
        const { minutes, recipients } = yield* setUp
        const sandbox = yield* startSandbox
        const { database, runners } = yield* startCluster({
          runners: 2,
          gateways: 0,
          environment: {
            HIKYAKU_PROVIDER_URL: sandbox.url,
            HIKYAKU_PROVIDER_CONCURRENCY: String(concurrency),
            HIKYAKU_PROVIDER_RATE: "1000",
            HIKYAKU_PROVIDER_REQUEST_TIMEOUT: "2 seconds",
            HIKYAKU_PROVIDER_LONGEST_PROCESSING_TIME: "2 seconds",
            HIKYAKU_PROVIDER_SETTLE_TIME: "250 millis",
            DELIVERY_LIST_SIZE: String(provider.listSize),
            DELIVERY_LEASE_MS: "1000"
          }
        })
        const context = yield* Layer.build(PgClient.layer({ url: Redacted.make(database.url), maxConnections: 4 }))
        const client = Context.get(context, SqlClient.SqlClient)
        const sql: Sql = (statement, values = []) =>
          Effect.runPromise(client.unsafe<Record<string, unknown>>(statement, [...values]))
        const count = (statement: string) =>
          Effect.map(
            Effect.promise(() => sql(`select count(*)::integer as n from ${statement}`)),
            ([row]) => Number(row?.["n"])
          )

        const due = new Map<string, { readonly at: number; readonly class: "batch" | "realtime" }>()
        const batch: MailRequest = { id: batchId, campaign: batchId, class: "batch", arrivesMs: 0, recipients }
        const now = (index: number): MailRequest => ({
          id: `now${index}`,
          campaign: "now",
          class: "realtime",
          arrivesMs: 0,
          recipients: 1
        })
        // Realtime mails for as long as the run may last, each to a member of its own.
        const nows = Array.from({ length: Math.ceil(minutes * 60_000 / realtimeEvery) }, (_, index) => now(index))
        yield* Effect.promise(() => seed(sql, [batch, ...nows], Date.now()))
        const deliver = (mail: MailRequest) =>
          Effect.promise(async () => {
            const at = await makeDue(sql, mail)
            for (let n = 0; n < mail.recipients; n++) due.set(deliveryOf(mail.id, n), { at, class: mail.class })
            return at
          })
        const startAt = yield* deliver(batch)
        const realtime = yield* Effect.forEach(
          nows,
          (mail) => Effect.zipRight(deliver(mail), Effect.sleep(Duration.millis(realtimeEvery))),
          { discard: true }
        ).pipe(Effect.forkScoped)

        const listed = (share: number) =>
          until(
            `${share * 100} % of the batch have gone out`,
            Effect.map(
              count("delivery where run = 'batch' and status = 'sent'"),
              (sent) => sent >= recipients * share
            ),
            Duration.minutes(minutes)
          )
        const kills: Array<{ readonly at: number; readonly until: number }> = []
        for (const share of [0.25, 0.55]) {
          yield* listed(share)
          // The one that took the account over last: it moves when a runner joins.
          const epochs = yield* Effect.forEach(runners, lastTakeover)
          const last = Math.max(...epochs)
          const owner = runners[epochs.indexOf(last)]
          if (owner === undefined || last === 0) return yield* Effect.dieMessage("nobody dispatches")
          const at = Date.now()
          yield* owner.kill
          yield* until(
            "another dispatches",
            Effect.map(Effect.forEach(runners, lastTakeover), (all) => Math.max(...all) > last),
            "60 seconds"
          )
          // Slots of the one that was killed are withheld for as long as their requests may be under way.
          yield* until(
            "its slots are free",
            Effect.map(
              count("provider_slot s join provider p on p.id = s.provider where s.owner <> p.owner"),
              (n) => n === 0
            ),
            "60 seconds"
          )
          kills.push({ at, until: Date.now() })
          yield* owner.start
        }
        yield* until(
          "the batch is through",
          Effect.map(
            count("delivery where run = 'batch' and status not in ('sent')"),
            (left) => left === 0
          ),
          Duration.minutes(minutes)
        )
        yield* Fiber.interrupt(realtime)
        yield* until(
          "all is sent",
          Effect.map(count("delivery where status in ('due', 'listed')"), (left) => left === 0),
          "60 seconds"
        )
        yield* until(
          "every list is closed",
          Effect.map(
            count("delivery_list where status not in ('completed', 'failed', 'expired')"),
            (left) => left === 0
          ),
          "60 seconds"
        )

        const verdict = testimony(sandbox.folder, due, startAt, concurrency, kills)
        console.log(
          `${recipients} recipients, ${verdict.realtimeMs.length} realtime mails, 2 kills: ${verdict.lists} lists, makespan ` +
            `${(verdict.makespanMs / 1_000).toFixed(1)} s; outside failover: utilisation ${
              verdict.utilisation.toFixed(3)
            }, ` +
            `realtime p50 ${percentile(verdict.realtimeMs, 0.5).toFixed(0)} ms, ` +
            `p99 ${percentile(verdict.realtimeMs, 0.99).toFixed(0)} ms`
        )
        expect(verdict.violations).toBe(0)
        expect(verdict.duplicates).toBe(0)
        expect(verdict.mailed).toBe(due.size)
        // Whoever waited in line with the batch would have waited for half of it.
        expect(percentile(verdict.realtimeMs, 0.5)).toBeLessThan(percentile(verdict.batchMs, 0.5) / 4)
      }),
    900_000
  )
})
