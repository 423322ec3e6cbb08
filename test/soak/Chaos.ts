/**
 * What goes wrong in a soak: one blow after the other, in an order that the seed decides, each made good before the next one
 * falls, so that there is always a cluster that can bear it.
 */
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HarnessFault, Member } from "../cluster/Harness.ts"
import { freezeUntilReplaced, type Scene, served, whole } from "../cluster/Scene.ts"

const blows = [
  "kill runner",
  "freeze runner past its lease",
  "freeze runner shortly",
  "stop runner",
  "kill gateway",
  "freeze gateway",
  "kill database",
  "stop database",
  "kill runner and gateway"
] as const
export type Blow = (typeof blows)[number]

export interface ChaosState {
  /** What is going on now. */
  now: string
  readonly counts: Record<Blow, number>
}

export const chaosState = (): ChaosState => ({
  now: "quiet",
  counts: {
    "kill runner": 0,
    "freeze runner past its lease": 0,
    "freeze runner shortly": 0,
    "stop runner": 0,
    "kill gateway": 0,
    "freeze gateway": 0,
    "kill database": 0,
    "stop database": 0,
    "kill runner and gateway": 0
  }
})

/** Answers after a blow before the next one. */
const recovered = 40
/** Longest that members stand still beyond what a blow means, and the longest quiet between two blows, ms. */
const frozenMax = 2_500
const quietMax = 1_200

const shuffled = (random: SeededRandom): ReadonlyArray<Blow> =>
  blows.map((blow) => [random.next(), blow] as const).toSorted(([a], [b]) => a - b).map(([, blow]) => blow)

/** A member that is not there for a while: the others have to do without. */
const without = (scene: Scene, member: Member): Effect.Effect<void, HarnessFault> =>
  member.kill.pipe(Effect.zipRight(served(scene, recovered)), Effect.zipRight(member.start))

/** Blow after blow, each made good, until it is over. Fails when the shop does not recover from one. */
export const chaos = (
  scene: Scene,
  random: SeededRandom,
  state: ChaosState,
  isOver: () => boolean
): Effect.Effect<void, HarnessFault> => {
  const { cluster } = scene
  const one = (members: ReadonlyArray<Member>): Member => members[random.between(0, members.length - 1)]!
  const rest = (max: number) => Effect.suspend(() => Effect.sleep(Duration.millis(random.between(0, max))))
  const standStill = (member: Member) =>
    member.freeze.pipe(Effect.zipRight(rest(frozenMax)), Effect.ensuring(Effect.orDie(member.thaw)))

  const strike = (blow: Blow): Effect.Effect<void, HarnessFault> => {
    const runner = one(cluster.runners)
    const gateway = one(cluster.gateways)
    switch (blow) {
      case "kill runner":
        return without(scene, runner)
      case "freeze runner past its lease":
        return freezeUntilReplaced(scene, runner).pipe(
          Effect.zipRight(rest(frozenMax)),
          Effect.ensuring(Effect.orDie(runner.thaw))
        )
      case "freeze runner shortly":
        return standStill(runner)
      case "stop runner":
        return runner.stop.pipe(Effect.zipRight(served(scene, recovered)), Effect.zipRight(runner.start))
      case "kill gateway":
        return without(scene, gateway)
      case "freeze gateway":
        return standStill(gateway)
      case "kill database":
        return cluster.database.restart("kill")
      case "stop database":
        return cluster.database.restart("stop")
      case "kill runner and gateway":
        return Effect.all([runner.kill, gateway.kill]).pipe(
          Effect.zipRight(served(scene, recovered)),
          Effect.zipRight(Effect.all([gateway.start, runner.start], { concurrency: 2 })),
          Effect.asVoid
        )
    }
  }

  /** Every kind once, in random order: also a short soak sees them all. */
  const round = Effect.suspend(() =>
    Effect.forEach(shuffled(random), (blow) =>
      Effect.gen(function*() {
        if (isOver()) return
        state.now = blow
        yield* strike(blow)
        state.counts[blow]++
        state.now = `after: ${blow}`
        yield* whole(scene)
        yield* served(scene, recovered)
        yield* rest(quietMax)
      }), { discard: true })
  )
  return Effect.repeat(round, { until: isOver })
}
