/** How the members hear of their deliveries: those of the relay's own process at once, the others through their cells. */
import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { LocalCells } from "@hikyaku/cluster/actor/CellEntity"
import { DeliveryStore } from "@hikyaku/cluster/delivery/DeliveryStore"
import { makeRelay } from "@hikyaku/cluster/delivery/MemberRelay"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import { memberSweep } from "../marketing/MemberSweep.ts"
import { batchOf, consider, count, inHouse, memberHolds } from "./DispatcherHouse.ts"

/** Deliveries as they are once they were sent (`Sent`) or were provably not (`Refund`). */
const become = (table: "delivery_sent" | "delivery_refund", where: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql.unsafe(`insert into ${table} (delivery, member, at) select id, member, now() from delivery where ${where}`)
  )

describe("the members' relay (R12, R18, R19)", () => {
  it.scopedLive("tells members of its process past their cells, all others through them", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        yield* consider([...batchOf(4), { run: "other", member: "twice" }, { run: "again", member: "far" }])
        yield* become("delivery_sent", "run = 'run-batch' and member <> 'run-batch-m3'")
        yield* become("delivery_refund", "member = 'run-batch-m3'")
        yield* become("delivery_sent", "member in ('twice', 'far')")
        // A second fact about the same member: its unit of the group is taken.
        yield* become("delivery_refund", "member = 'twice'")

        const sweep = yield* memberSweep((member) => member === "far")
        const client = yield* ActorClient
        const store = yield* DeliveryStore
        const throughCells: Array<string> = []
        const relay = yield* makeRelay(memberKind, ["mail"]).pipe(
          Effect.provideService(LocalCells, {
            runner: "test",
            cells: new Map(),
            sweeps: new Map([[memberKind.name, sweep]])
          }),
          Effect.provideService(ActorClient, {
            ...client,
            sendAll: (kind, sends) => {
              throughCells.push(...sends.map(({ actor }) => actor))
              return client.sendAll(kind, sends)
            }
          })
        )
        expect(yield* relay.tell).toBe(7)
        expect(throughCells.toSorted()).toEqual(["far", "twice"])
        expect(yield* memberHolds("run-batch-m0")).toEqual(["sent"])
        expect(yield* memberHolds("run-batch-m3")).toEqual([])
        // Sent is sent, whichever of the two it hears first.
        expect(yield* memberHolds("twice")).toEqual(["sent"])
        expect(yield* memberHolds("far")).toEqual(["sent"])
        expect(yield* count("delivery_sent", "relayed_at is null")).toBe(0)
        expect(yield* count("delivery_refund", "relayed_at is null")).toBe(0)
        expect(yield* store.facts).toEqual([])

        // Members recognise what they are told again: nothing changes (R12).
        const sql = yield* SqlClient.SqlClient
        yield* sql`update delivery_sent set relayed_at = null`
        throughCells.length = 0
        expect(yield* relay.tell).toBe(5)
        expect(throughCells).toEqual(["far"])
        expect(yield* memberHolds("run-batch-m1")).toEqual(["sent"])
      })
    ))
})
