import { it } from "@effect/vitest"
import { Effect } from "effect"
import { startCluster } from "./Harness.ts"
it.scopedLive("starts", () => Effect.gen(function*() {
  let t = performance.now()
  const lap = (s: string) => { console.log(s, Math.round(performance.now() - t)); t = performance.now() }
  const c = yield* startCluster({ runners: 3, gateways: 2 })
  lap("start")
  yield* c.runners[0]!.kill
  lap("kill")
  yield* c.runners[0]!.start
  lap("start again")
  yield* c.database.restart("kill")
  lap("db kill")
  console.log(yield* c.runners[1]!.stop)
  lap("stop")
}), 120000)
