/** Runners that die and runners that are stopped, while shoppers shop. */
import { layer } from "@effect/vitest"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Effect from "effect/Effect"
import { describe, expect } from "vitest"
import type { Attempt } from "./History.ts"
import { expectRight, judgeScene, served, startLoad, TheScene, whole } from "./Scene.ts"
import { insist } from "./Shoppers.ts"

/** Answers that took longest among those that were still to come at this instant (ms), in ms. */
const slowest = (attempts: ReadonlyArray<Attempt>, from: number): number =>
  attempts.reduce(
    (most, { answeredMs, calledMs }) =>
      answeredMs !== null && answeredMs > from ? Math.max(most, answeredMs - calledMs) : most,
    0
  )

/** Longest that a request may wait for a runner that was killed to be replaced, ms; about 2,000 on an idle machine. */
const failoverMax = 10_000
/** Longest that a request may wait because its runner is being stopped, ms. */
const handoverMax = 8_000

layer(TheScene.layer({ runners: 2, gateways: 2 }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("G1 G2 G3 G4: a runner that is killed", () => {
    it.scoped("costs a short wait and nothing else", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { cluster: { runners }, fronts, history } = scene
        yield* whole(scene)
        const load = yield* startLoad(scene, { seed: "killed", shoppers: 16, pause: 60 })
        yield* served(scene, 120)
        const [victim] = runners
        const at = performance.now()
        yield* victim!.kill
        // What the victim hosted is asked for, too: these answers come from its successors.
        yield* served(scene, 150)
        yield* victim!.start
        yield* served(scene, 60)
        yield* load.stop
        const wait = slowest(history.attempts, at)
        console.log(`longest wait around a kill -9 of a runner: ${Math.round(wait)} ms`)
        const judgement = yield* judgeScene(scene, load.short)
        expectRight(judgement)
        expect(judgement.acknowledged).toBeGreaterThan(50)
        expect(judgement.rounds).toBeGreaterThan(10)
        expect(judgement.linear.judged).toBeGreaterThan(3)
        expect(wait).toBeLessThan(failoverMax)

        // Every acknowledged ticket is found again, and every repeat hears the first outcome.
        const random = makeSeededRandom("again")
        // Of a ticket that was given up since, a repeat says so instead (G6).
        const givenUp = new Set(
          history.attempts.flatMap(({ call }) => call._tag === "GiveUp" ? [call.ticket] : [])
        )
        const heard = history.attempts.filter(({ answer, call }) =>
          call._tag === "Add" && answer?._tag === "Reply" && answer.reply._tag === "Allocated" &&
          !givenUp.has(call.ticket)
        ).slice(-60)
        expect(heard.length).toBeGreaterThan(10)
        yield* Effect.forEach(heard, ({ answer, call, product }) =>
          Effect.map(insist(random, fronts, product, call), (again) =>
            expect(again).toEqual(answer)), { concurrency: 8 })
      }), 90_000)
  })

  describe("G14: a runner that is stopped", () => {
    it.scoped("hands its work over without an error that a client sees", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { cluster: { runners }, history } = scene
        yield* whole(scene)
        const load = yield* startLoad(scene, { seed: "stopped", shoppers: 12, pause: 60 })
        yield* served(scene, 80)
        const from = history.attempts.length
        const at = performance.now()
        expect(yield* runners[1]!.stop).toBe("exit code 0")
        yield* served(scene, 120)
        yield* runners[1]!.start
        yield* served(scene, 60)
        yield* load.stop
        const later = history.attempts.slice(from)
        const unheard = later.filter(({ answer }) =>
          answer?._tag === "Error" || answer?._tag === "Silent" && answer.why !== "its caller is gone"
        )
        // A deadline of some ms may be over whatever the runners do.
        const errors = unheard.filter(({ answer }) => !(answer?._tag === "Error" && answer.error === "NotAnswered"))
        console.log(`longest wait around a stop of a runner: ${Math.round(slowest(later, at))} ms`)
        expect(errors.map(({ answer }) => answer)).toEqual([])
        expect(slowest(later, at)).toBeLessThan(handoverMax)
        expectRight(yield* judgeScene(scene, load.short))
      }), 90_000)
  })
})
