/** A database that dies and comes back, while shoppers shop. */
import { layer } from "@effect/vitest"
import type { TicketId } from "@hikyaku/domain/Identifier"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { describe, expect } from "vitest"
import { expectRight, judgeScene, served, startLoad, TheScene, until } from "./Scene.ts"

layer(TheScene.layer({ runners: 2, gateways: 2 }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("G2: PostgreSQL killed right after acknowledgements", () => {
    it.scoped("has every ticket that was acknowledged", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { books, cluster: { database } } = scene
        const acknowledged = new Set<TicketId>()
        const load = yield* startLoad(scene, {
          seed: "database",
          shoppers: 16,
          pause: 40,
          onOutcome: ({ ticket }, answer) =>
            Effect.sync(() => {
              if (answer._tag === "Reply" && answer.reply._tag === "Allocated") acknowledged.add(ticket)
            })
        })
        const heard = (count: number) => until(`${count} more tickets`, Effect.sync(() => acknowledged.size >= count))
        yield* heard(40)
        for (const how of ["kill", "kill", "stop"] as const) {
          const before = [...acknowledged]
          yield* database.restart(how)
          const found = yield* books.sql<{ readonly n: number }>`
            select count(*)::integer as n from allocation where ticket = any(${before}::uuid[])`.pipe(
            Effect.retry(Schedule.intersect(Schedule.recurs(100), Schedule.spaced("100 millis")))
          )
          expect(found[0]?.n).toBe(before.length)
          // Shoppers are served again, and the next blow falls while they are.
          yield* served(scene, 150)
          yield* heard(before.length + 25)
        }
        yield* load.stop
        const judgement = yield* judgeScene(scene, load.short)
        expectRight(judgement)
        expect(judgement.acknowledged).toBeGreaterThan(50)
      }), 120_000)
  })
})
