import { HttpServer } from "@effect/platform"
import * as HttpProvider from "@hikyaku/cluster/delivery/HttpProvider"
import { layerMemory, sandboxPromises } from "@hikyaku/cluster/delivery/ProviderMemory"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import * as SandboxClient from "@hikyaku/server/sandbox/SandboxClient"
import * as SandboxMain from "@hikyaku/server/sandbox/SandboxMain"
import { Duration, Effect, Layer, Redacted } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { providerContract } from "./ProviderContract.ts"

const requestTimeout = Duration.seconds(1)

const folder = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "hikyaku-sandbox-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
)

const apiKey = Redacted.make("a key of the sandbox")

/** A sandbox on a port of its own, and a client that shares nothing with it but the address and the key. */
const layerHttp = Layer.unwrapScoped(
  Effect.map(folder, (folder) =>
    Layer.unwrapEffect(HttpServer.addressFormattedWith((baseUrl) =>
      Effect.succeed(
        Layer.merge(
          HttpProvider.layer({ ...sandboxPromises, baseUrl, apiKey, requestTimeout }),
          SandboxClient.layer(baseUrl, apiKey)
        ).pipe(Layer.provide(ProviderClient.layer()))
      )
    )).pipe(Layer.provide(SandboxMain.layer({ host: "127.0.0.1", port: 0, folder, apiKey }))))
)

providerContract("memory", layerMemory({ promises: { requestTimeout } }))
providerContract("HTTP", layerHttp)
