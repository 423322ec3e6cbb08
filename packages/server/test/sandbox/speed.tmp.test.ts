import * as HttpProvider from "@hikyaku/cluster/delivery/HttpProvider"
import { sandboxPromises } from "@hikyaku/cluster/delivery/ProviderMemory"
import { Provider } from "@hikyaku/cluster/delivery/Provider"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import * as SandboxClient from "@hikyaku/server/sandbox/SandboxClient"
import * as SandboxMain from "@hikyaku/server/sandbox/SandboxMain"
import { HttpServer } from "@effect/platform"
import { it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
const k = Redacted.make("")
const L = Layer.unwrapEffect(HttpServer.addressFormattedWith((baseUrl) => Effect.succeed(Layer.merge(
  HttpProvider.layer({ ...sandboxPromises, baseUrl, apiKey: k }), SandboxClient.layer(baseUrl, k)).pipe(Layer.provide(ProviderClient.layer()))
))).pipe(Layer.provide(SandboxMain.layer({ host: "127.0.0.1", port: 0, folder: "/tmp/sandbox-speed-" + process.pid, apiKey: k })))
it.live("speed", () => Effect.gen(function*() {
  const p = yield* Provider; const c = yield* SandboxControl
  yield* c.configure({ concurrency: { total: null, upload: null }, perSecond: { total: null }, latency: { _tag: "Fixed", ms: 0 }, uploadPerRecipientMs: 0 })
  for (const conc of [1, 8, 32, 128]) {
    const n = 4000; const t = performance.now()
    yield* Effect.forEach(Array.from({ length: n }, (_, i) => i), (i) => p.uploadList({ listId: `${conc}-${i}`, channel: "mail", mailKey: "m" + conc, recipients: [{ deliveryId: `d${conc}-${i}`, address: `a${i}@x.y`, content: { html: "x".repeat(2000) } }], idempotencyKey: `k${conc}-${i}` }), { concurrency: conc, discard: true })
    console.log(conc, Math.round(n / ((performance.now() - t) / 1000)), "uploads/s (client and server in one process)")
  }
  const big = Array.from({ length: 10000 }, (_, i) => ({ deliveryId: `big-${i}`, address: `b${i}@example.com`, parameters: { name: "x", product: "y" } }))
  for (let r = 0; r < 3; r++) {
    let t = performance.now()
    const { uploadId } = yield* p.uploadList({ listId: "big" + r, channel: "mail", mailKey: "b" + r, recipients: big, idempotencyKey: "b" + r })
    const a = performance.now() - t; t = performance.now()
    const { sendId } = yield* p.startDelivery({ uploadId, idempotencyKey: "b" + r })
    const b = performance.now() - t; 
    yield* Effect.sleep(1500); t = performance.now()
    const s = yield* p.status({ sendId })
    const d = performance.now() - t; t = performance.now()
    const h = yield* p.history({ query: { _tag: "List", listId: "big" + r } })
    console.log("10k: upload", a | 0, "send", b | 0, "status", d | 0, s.results.length, "history", (performance.now() - t) | 0, h.deliveries.length)
  }
  let t = performance.now(); const rep = yield* c.report; console.log("report ms", performance.now() - t, JSON.stringify(rep).slice(0, 900))
}).pipe(Effect.provide(L)), 120000)
