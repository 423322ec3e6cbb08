import { Effect, Stream, Schema } from "effect"
import { it } from "@effect/vitest"
import { fromFile } from "../../src/replay/ReplaySource.ts"
import { Step } from "@hikyaku/domain/replay/Step"
for (const limit of [500, 5000, 50000, undefined]) {
it.scoped("x" + limit, () => Effect.gen(function*() {
  const t = performance.now()
  const s = yield* fromFile("../shared/data/online-retail/2010-12_2011-08.csv.gz", { limit })
  const t1 = performance.now()
  const c: Record<string, number> = {}
  let at = 0, mono = true
  const left = new Map<string, number>(); let so = new Set<string>(); let refused = 0, zero = new Set<string>(), back = 0
  const is = Schema.is(Step); let bad = 0; let ids = new Set<string>(); let dup = 0
  const tk = new Map<string, boolean>()
  yield* Stream.runForEach(s.stream, (st) => Effect.sync(() => {
    const k = st._tag === "Publish" ? st.event.happening._tag : st._tag
    c[k] = (c[k] ?? 0) + 1
    if (st.at < at) mono = false
    at = st.at
    if (st._tag === "ProductOpening") left.set(st.product, st.stock)
    if (st._tag === "CartAdd") { const l = left.get(st.product)!; if (l >= st.quantity) { left.set(st.product, l - st.quantity); tk.set(st.ticket, true); if (l === st.quantity) zero.add(st.product) } else { refused++; so.add(st.product) } }
    if (st._tag === "Return" && tk.has(st.ticket!)) { left.set(st.product, left.get(st.product)! + st.quantity) }
    if (st._tag === "Publish" && st.event.happening._tag === "StockChanged") { if (left.get(st.event.happening.product) === 0) back++; left.set(st.event.happening.product, left.get(st.event.happening.product)! + (st.event.happening.change as any).delta) }
    const id = st._tag === "Publish" ? st.event.id : st._tag === "CartAdd" ? st.ticket : st._tag === "Checkout" ? st.order : st._tag === "Return" ? st.returnId : ""
    if (id) { if (ids.has(id)) dup++; ids.add(id) }
    if (limit && limit <= 5000 && !is(st)) bad++
  }))
  const t2 = performance.now()
  console.log(limit, s.lines, t1 - t, t2 - t1, c, yield* s.progress, mono, { refused, products: so.size, zero: zero.size, back, bad, dup }, s.derived, Math.round(process.memoryUsage().heapUsed / 1e6))
}), 60000)
}
