/** The dispatcher over a channel that keeps nothing for us: SMTP that breaks down at random, and dispatchers that die. */
import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { runDispatcher } from "@hikyaku/cluster/delivery/Dispatcher"
import * as Smtp from "@hikyaku/cluster/delivery/Smtp"
import * as SpoolPostgres from "@hikyaku/cluster/delivery/SpoolPostgres"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { sql as channelsSql } from "@hikyaku/cluster/sql/migrations/0080_channels"
import { Duration, Effect, Layer, Redacted } from "effect"
import { describe, expect } from "vitest"
import { type SmtpBehaviour, smtpFarSide } from "../../../../test/contracts/SmtpFarSide.ts"
import * as House from "./DispatcherHouse.ts"

/** How many of a hundred messages meet with each. */
const storm: ReadonlyArray<readonly [SmtpBehaviour, number]> = [
  ["later", 4],
  ["laterContent", 3],
  ["lose", 8],
  ["cutInContent", 7],
  ["refuse", 5],
  ["accept", 73]
]
const pick = (): SmtpBehaviour => {
  let left = Math.random() * 100
  for (const [behaviour, share] of storm) if ((left -= share) < 0) return behaviour
  return "accept"
}

const render = House.render
const dispatch = (port: number) =>
  runDispatcher({
    settings: { ...House.settings, account: "smtp", statusFirstMs: 5 },
    render,
    members: memberKind
  }).pipe(
    Effect.provide(
      Smtp.layer("smtp", {
        host: "127.0.0.1",
        port,
        security: "none",
        user: "",
        password: Redacted.make(""),
        from: "news@shop.example",
        connections: 2,
        messagesPerConnection: 20,
        requestTimeout: Duration.millis(400),
        retryAfter: Duration.millis(20),
        ca: ""
      }).pipe(Layer.provide([SpoolPostgres.layer, Suppressions.layerMemory()]))
    ),
    Effect.forkScoped
  )

describe("G8, G10 at most once over SMTP", () => {
  it.scopedLive("whatever breaks, nobody gets two mails, and what is recorded is what happened", () =>
    House.inHouse(
      {},
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe(channelsSql)
        const server = yield* smtpFarSide()
        server.vary(pick)
        const wanted = House.batchOf(60)
        yield* House.consider(wanted)
        const first = yield* dispatch(server.port)
        yield* House.pollUntil(Effect.sync(() => server.mails.length), (mails) => mails >= 10, 60_000)
        yield* House.crash(first)
        yield* dispatch(server.port)
        yield* House.pollUntil(House.owed, (left) => left === 0, 60_000)

        const received = new Map<string, number>()
        for (const address of server.mails.flatMap(({ to }) => to)) {
          received.set(address, (received.get(address) ?? 0) + 1)
        }
        const rows = yield* House.deliveries
        expect(rows).toHaveLength(wanted.length)
        for (const { id, status } of rows) {
          const member = id.split(":")[1] ?? ""
          const mails = received.get(`${member}@shop.example`) ?? 0
          const phases = yield* House.memberHolds(member)
          expect({ id, status, mails }).toEqual({
            id,
            status,
            mails: status === "sent" ? 1 : status === "failed" ? 0 : Math.min(1, mails)
          })
          expect(["sent", "failed", "unknown"]).toContain(status)
          // G8 the cap is given back exactly where it was provably not sent.
          expect({ id, status, held: phases.length > 0 && phases[0] !== "refunded" }).toEqual({
            id,
            status,
            held: status !== "failed"
          })
        }
        expect(yield* House.tally).toHaveProperty("sent")
      })
    ), 120_000)
})
