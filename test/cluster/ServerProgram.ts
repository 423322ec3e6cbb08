/**
 * The server as it is shipped, one file with all packages in it, but bundled from its sources: the processes of the cluster
 * tests run what is in the checkout, built or not, and never what an older build has left. A process that loads a thousand
 * modules takes four times the CPU time until it serves, from those that go on working meanwhile.
 */
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { oneFile } from "../../packages/server/oneFile.mjs"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** Below `node_modules`, so that what is not bundled is found. */
const folder = path.join(root, "node_modules", ".cache", "hikyaku-test")

/** Path of the bundled `main.js`; gone with the scope. */
export const serverProgram = Effect.acquireRelease(
  Effect.promise(async () => {
    const file = path.join(folder, `server-${randomUUID()}.mjs`)
    await build({
      entryPoints: [path.join(root, "packages/server/src/main.ts")],
      outfile: file,
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      conditions: ["@hikyaku/source"],
      ...oneFile,
      logLevel: "error"
    })
    return file
  }),
  (file) => Effect.promise(() => fs.rm(file, { force: true }))
)
