/** The example of docs/rpc.md runs as it is printed. */
import { expect, layer } from "@effect/vitest"
import { Hikyaku, urlDefault } from "@hikyaku/domain/api/Client"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as TestApi from "./rpc/TestApi.ts"

const text = fs.readFileSync(new URL("../../../docs/rpc.md", import.meta.url), "utf8")

layer(TestApi.layer(), { excludeTestServices: true })("docs/rpc.md", (it) => {
  it.effect("its example for TypeScript runs", () =>
    Effect.gen(function*() {
      const { port } = yield* Listener
      const hikyaku = yield* Hikyaku
      yield* hikyaku.product.define({ product: "tee" })
      const change = { _tag: "Level", level: 2 } as const
      yield* hikyaku.product.changeStock({ product: "tee", source: "t", sourceVersion: 1, meaning: "physical", change })
      const example = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? expect.fail("there is no example")
      expect(example).toContain("urlDefault)")
      const here = example
        .replace("layerWebSocket(urlDefault)", `layerWebSocket("ws://127.0.0.1:${port}/rpc")`)
        .replace(/console\.log\((.*)\)/, "export const printed = $1")
      const file = new URL(`./Example-${process.pid}.ts`, import.meta.url)
      fs.writeFileSync(file, here)
      try {
        const run: unknown = yield* Effect.promise(() => import(/* @vite-ignore */ file.pathname))
        expect(run).toMatchObject({ printed: "Allocated Allocated SoldOut" })
      } finally {
        fs.rmSync(file)
      }
      expect(urlDefault).toBe("ws://127.0.0.1:4000/rpc")
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
