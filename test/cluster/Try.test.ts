import { it } from "@effect/vitest"
import { Effect } from "effect"
import { openScene, startLoad, judgeScene } from "./Scene.ts"
it.scopedLive("starts", () => Effect.gen(function*() {
  let t = performance.now()
  const lap = (s: string) => { console.log(s, Math.round(performance.now() - t)); t = performance.now() }
  const scene = yield* openScene({ runners: 3, gateways: 2 })
  const c = scene.cluster
  lap("start")
  const load = yield* startLoad(scene, { seed: "try", shoppers: 24, pause: 150 })
  lap("load")
  yield* Effect.sleep("6 seconds")
  const k = performance.now()
  yield* c.runners[0]!.kill
  lap("kill")
  yield* Effect.sleep("6 seconds")
  const slow = scene.history.attempts.filter(a => a.answeredMs !== null && a.answeredMs > k && a.calledMs < k + 5000).map(a => Math.round(a.answeredMs! - a.calledMs)).toSorted((a,b)=>b-a)
  console.log("slowest", slow.slice(0, 10), slow.length)
  lap("x")
  yield* load.stop
  lap("stopped")
  const v = yield* judgeScene(scene, load.short)
  lap("judged")
  console.log(v.problems.length, v.problems.slice(0, 10).map(x => x.slice(0, 1500)).join("\n"))
  console.log({ ...v, problems: 0, short: load.short.size, linear: { ...v.linear, problems: v.linear.problems.length } }, scene.history.attempts.length)
  const errs = new Map<string, number>()
  for (const a of scene.history.attempts) if (a.answer && a.answer._tag !== "Reply") { const k = JSON.stringify([a.call._tag, a.answer]).slice(0, 160); errs.set(k, (errs.get(k) ?? 0) + 1) }
  console.log(errs)
}), 120000)
