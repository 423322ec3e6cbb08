import { Effect, Stream } from "effect"
import { fromFile } from "./.tmpdist/replay/ReplaySource.js"
const limit = Number(process.argv[2])
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  let t = performance.now()
  const s = yield* fromFile("../shared/data/online-retail/2010-12_2011-08.csv.gz", { limit })
  console.log("survey", performance.now() - t); t = performance.now()
  let n = 0
  yield* Stream.runForEachChunk(s.stream, (c) => Effect.sync(() => { n += c.length }))
  console.log("replay", performance.now() - t, n, process.memoryUsage().heapUsed / 1e6)
})))
