/**
 * A batch with realtime mails between it, through two kill -9 of the runner that sends it. Nothing that Hikyaku says about
 * itself counts: the verdict is the sandbox's own record.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as DemoProcess from "@hikyaku/server/demo/DemoProcess"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { makeDue, seed, type Sql } from "../../bench/dispatch/Due.ts"
import { deliveryOf, type MailRequest, type ProviderTimes, sandboxSettings } from "../../bench/dispatch/Mix.ts"
import { type Testimony, testimony } from "../../bench/dispatch/Witness.ts"
import { temporaryFolder } from "../TemporaryFolder.ts"
import { freePort, type Member, startCluster } from "./Harness.ts"
import { until } from "./Scene.ts"
import { serverProgram } from "./ServerProgram.ts"

/** Requests that the provider allows at one time. */
export const concurrency = 8
/** Between two realtime mails, ms. */
const realtimeEvery = 1_000
const batchId = "batch"

interface DeliveryKillOptions {
  readonly recipients: number
  /** The provider, and the time after which the run is given up, minutes. */
  readonly takes: ProviderTimes
  readonly minutes: number
  /** Takes a line of progress, about once a second. */
  readonly progress: (line: string) => void
}

export interface DeliveryKillReport {
  /** What the sandbox's record says outside failover, and of all realtime mails, those within it too, from when they were due, ms. */
  readonly verdict: Testimony
  readonly realtimeAllMs: ReadonlyArray<number>
  /** Mails that were asked for. */
  readonly due: number
  /** From each kill until no slot of the killed one was withheld any more, ms since the epoch. */
  readonly failovers: ReadonlyArray<{ readonly at: number; readonly until: number }>
}

/** Number of the last takeover of the mail account of which the log of a member tells; 0 before the first. */
const lastTakeover = (member: Member) =>
  Effect.promise(async () => {
    const text = await fs.readFile(member.log, "utf8").catch(() => "")
    const epochs = Array.from(text.matchAll(/Dispatching account=mail epoch=(\d+)/g), ([, epoch]) => Number(epoch))
    return Math.max(0, ...epochs)
  })

const startSandbox = (takes: ProviderTimes) =>
  Effect.gen(function*() {
    // Kept beside the members' logs where those are.
    const logs = process.env["HIKYAKU_TEST_LOGS"]
    const folder = logs === undefined ? yield* temporaryFolder("sandbox") : path.join(logs, "sandbox")
    yield* Effect.promise(() => fs.mkdir(folder, { recursive: true }))
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
      fetch(`${url}/v1/settings`, { method: "PUT", body: JSON.stringify(sandboxSettings(concurrency, takes)) })
    )
    if (!answer.ok) return yield* Effect.dieMessage(`the sandbox refuses its settings: HTTP ${answer.status}`)
    return { folder, url }
  })

/** Sends the batch and kills its runner twice; answers what the sandbox's record says. */
export const deliveryKill = ({ minutes, progress, recipients, takes }: DeliveryKillOptions) =>
  Effect.gen(function*() {
    // Twice what the longest request takes: no answer by then is none.
    const longestMs = 2 * (takes.uploadMs + takes.listSize * takes.perRecipientMs) + 800
    const sandbox = yield* startSandbox(takes)
    const { database, runners } = yield* startCluster({
      runners: 2,
      gateways: 0,
      environment: {
        HIKYAKU_PROVIDER_URL: sandbox.url,
        HIKYAKU_PROVIDER_CONCURRENCY: String(concurrency),
        HIKYAKU_PROVIDER_RATE: "1000",
        HIKYAKU_PROVIDER_REQUEST_TIMEOUT: `${longestMs} millis`,
        HIKYAKU_PROVIDER_LONGEST_PROCESSING_TIME: `${longestMs} millis`,
        HIKYAKU_PROVIDER_SETTLE_TIME: "250 millis",
        DELIVERY_LIST_SIZE: String(takes.listSize),
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

    // By its lists: to count the deliveries themselves time and again would take the machine from who sends them.
    const gone = Effect.map(
      Effect.promise(() =>
        sql(`select coalesce(sum(recipients), 0)::integer as n from delivery_list
          where campaign = '${batchId}' and status = 'completed'`)
      ),
      ([row]) => Number(row?.["n"])
    )
    const began = Date.now()
    let stage = "sending"
    const show = Effect.map(
      gone,
      (sent) => progress(`${Math.round((Date.now() - began) / 1_000)} s  ${sent} of ${recipients} sent  ${stage}`)
    )
    yield* Effect.forkScoped(Effect.repeat(show, Schedule.spaced("1 second")))

    const listed = (share: number) =>
      until(
        `${share * 100} % of the batch have gone out`,
        Effect.map(gone, (sent) => sent >= recipients * share),
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
      stage = `kill ${kills.length + 1} of 2: until its slots are resolved`
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
      stage = "sending"
      yield* owner.start
    }
    yield* listed(1)
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

    const report: DeliveryKillReport = {
      verdict: testimony(sandbox.folder, due, startAt, concurrency, kills),
      realtimeAllMs: testimony(sandbox.folder, due, startAt, concurrency).realtimeMs,
      due: due.size,
      failovers: kills
    }
    return report
  })
