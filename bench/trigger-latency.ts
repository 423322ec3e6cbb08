/**
 * P6. From a realtime event to the provider's request for it, while a batch saturates the provider: through the API, the
 * event log, the campaign's rule, its segment, the member's judgement, the recipient list and the slot. When the event was
 * published is the caller's clock; when the request started is in the sandbox's own record (one machine, one clock).
 */
import { mkdtempSync, rmSync } from "node:fs"
import * as path from "node:path"
import { makeDue, seed, type Sql } from "./dispatch/Due.ts"
import { type MailRequest, provider } from "./dispatch/Mix.ts"
import { startApi, startRunner, startSandbox } from "./dispatch/Stage.ts"
import { percentile, uploadStarts } from "./dispatch/Witness.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { sleep } from "./rig/Machine.ts"
import type { Database } from "./rig/Postgres.ts"
import { atMost, type Measurement, rounded } from "./rig/Report.ts"

/** Requests that the provider allows at one time. */
const concurrency = 8
const realtimeEvery = 250
/** Members favour one product each, so that each event is for one of them. */
const eventsMax = 400
/** Events before those that count, at the same rate: a program that has just begun is compiled while it runs. */
const warmUpEvents = 20
/** How long is waited for the last request, ms. */
const patience = 20_000

const sqlOf = (database: Database): Sql => async (statement, values = []) =>
  (await database.admin.query<Record<string, unknown>>(statement, [...values])).rows

const campaign = {
  id: "price-drop",
  name: "A favourite costs less",
  trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < event.before" },
  segment: { _tag: "Favourited", of: { product: "$event" } },
  class: "realtime",
  priority: 700,
  channels: ["mail"],
  deadlineMs: 3_600_000,
  timePolicy: { _tag: "Immediate" },
  content: {
    en: {
      mail: { subject: "{{ product.name }}", html: "<p>{{ parameters.after }}</p>", text: "{{ parameters.after }}" }
    }
  }
}

/** Where a mail is, ms since the epoch, by the tables: its event appended, its run begun, its delivery decided, its list made. */
const way = `select m.address, (extract(epoch from l.appended_at) * 1000)::float8 as appended,
  (extract(epoch from r.started_at) * 1000)::float8 as run, (extract(epoch from d.created_at) * 1000)::float8 as decided,
  (extract(epoch from dl.created_at) * 1000)::float8 as listed
from delivery d join member m on m.id = d.member join run r on r.id = d.run join delivery_list dl on dl.id = d.list_id
join event_log l on l.source = 'bench' and l.event_id = 'drop-' || substr(d.member, 4) || '-0'
where d.member like 'fan%'`
const milestones = ["appended", "run", "decided", "listed"] as const

const address = (n: number) => `fan${n}@shop.example`

const measure = async (run: Bench, database: Database): Promise<Measurement> => {
  const events = warmUpEvents + Math.min(eventsMax, run.options.seconds * 1_000 / realtimeEvery)
  const folder = mkdtempSync(path.join(path.resolve(run.options.data), "sandbox-"))
  const sandbox = await startSandbox(folder, concurrency)
  const sql = sqlOf(database)
  // Enough for the provider to be busy for the whole time and a good while longer.
  const batch: MailRequest = {
    id: "batch",
    campaign: "batch",
    class: "batch",
    arrivesMs: 0,
    recipients: Math.ceil((run.options.seconds + 15 + warmUpEvents * realtimeEvery / 1_000) * 1_000 * concurrency / 15)
  }
  await seed(sql, [batch], Date.now())
  const runner = await startRunner(database, sandbox, concurrency)
  const api = await startApi(database)
  const sent = new Map<string, number>()
  let ways: ReadonlyArray<Record<string, unknown>> = []
  try {
    const at = Date.now()
    const publish = (happenings: ReadonlyArray<object>, id: string) =>
      api.call("event.publish", {
        events: happenings.map((happening, n) => ({ source: "bench", id: `${id}-${n}`, at: Date.now(), happening }))
      })
    await api.call("campaign.apply", { document: campaign, author: "bench" })
    for (let from = 0; from < events; from += 100) {
      const numbers = Array.from({ length: Math.min(100, events - from) }, (_, n) => from + n)
      await publish(
        numbers.flatMap((n) => [
          { _tag: "ProductPublished", product: `p${n}`, name: `Tee ${n}`, price: 2_000 },
          { _tag: "MemberJoined", member: `fan${n}`, address: address(n), language: "en" },
          { _tag: "ConsentChanged", member: `fan${n}`, channel: "mail", consent: true },
          { _tag: "Favourited", member: `fan${n}`, product: `p${n}` }
        ]),
        `set-up-${from}`
      )
    }
    const known = async () => {
      const [row] = await sql(`select (select count(*) from favourite)::integer as n,
        (select count(*) from member where consents ->> 'mail' = 'true' and id like 'fan%')::integer as m`)
      return Number(row?.["n"]) >= events && Number(row?.["m"]) >= events
    }
    while (!await known()) {
      if (Date.now() > at + 60_000) throw new Error("the members' favourites never came in")
      await sleep(50)
    }
    await run.still()
    await makeDue(sql, batch)
    // Until every slot of the provider is in use.
    while (uploadStarts(folder).size < concurrency) await sleep(50)
    const start = Date.now()
    for (let n = 0; n < events; n++) {
      await sleep(Math.max(0, start + n * realtimeEvery - Date.now()))
      if (n >= warmUpEvents) sent.set(address(n), Date.now())
      await publish([{ _tag: "PriceChanged", product: `p${n}`, before: 2_000, after: 1_500 }], `drop-${n}`)
    }
    const end = Date.now() + patience
    const all = () => {
      const seen = uploadStarts(folder)
      return [...sent.keys()].every((one) => seen.has(one))
    }
    while (!all() && Date.now() < end) await sleep(500)
    ways = await sql(way)
  } finally {
    await api.stop()
    await runner.stop()
    await sandbox.stop()
  }
  const starts = uploadStarts(folder)
  rmSync(folder, { recursive: true, force: true })
  const waits = [...sent].flatMap(([one, at]) => {
    const start = starts.get(one)
    return start === undefined ? [] : [start - at]
  }).toSorted((a, b) => a - b)
  const steps = ways.filter((row) => sent.has(String(row["address"]))).map((row) => {
    const who = String(row["address"])
    const at = [sent.get(who), ...milestones.map((name) => Number(row[name])), starts.get(who)]
    return at.slice(1).map((then, n) => (then ?? Number.NaN) - (at[n] ?? Number.NaN))
  })
  for (const [n, name] of [...milestones, "requested"].entries()) {
    const took = steps.map((each) => each[n] ?? Number.NaN).toSorted((a, b) => a - b)
    run.say(`until ${name}: p50 ${rounded(percentile(took, 0.5), 0)} ms, p99 ${rounded(percentile(took, 0.99), 0)} ms`)
  }
  const measurement: Measurement = {
    peer: "hikyaku",
    workload: "trigger-latency",
    n: sent.size,
    concurrency,
    p50_ms: rounded(percentile(waits, 0.5), 1),
    p99_ms: rounded(percentile(waits, 0.99), 1),
    ok: waits.length === sent.size
  }
  run.report.add(measurement)
  return measurement
}

await bench("trigger-latency", async (run) => {
  await run.repeat(async () => {
    await run.on("trigger_latency", (database) => measure(run, database))
  })
  const ours = run.report.find("hikyaku", "trigger-latency")
  // While every slot is in use, a request waits for one under way at the longest: that is the provider's own latency.
  const own = provider.uploadMs + provider.listSize * provider.perRecipientMs
  const beyond = (ours.p99_ms ?? Number.NaN) - own
  return [
    atMost(
      "P6",
      `event to provider request under a saturating batch, p99 beyond ${own} ms of the provider's own`,
      beyond,
      250,
      "ms",
      ours.ok
    )
  ]
})
