/**
 * The server as one file, bundled from its sources: the processes of the cluster tests run what is in the checkout, built or
 * not, and never what an older build has left.
 */
import * as Effect from "effect/Effect"
import { build, type Plugin } from "esbuild"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** npm packages are loaded as they are; our own are bundled. */
const npmPackages: Plugin = {
  name: "npm-packages",
  setup: (setup) => {
    setup.onResolve(
      { filter: /^[^./]/ },
      ({ kind, path: name }) =>
        kind === "entry-point" || name.startsWith("@hikyaku/") ? undefined : { path: name, external: true }
    )
  }
}

/** Below `node_modules`, so that the bundle finds the packages that its sources would. */
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
      plugins: [npmPackages],
      sourcemap: "inline",
      logLevel: "error"
    })
    return file
  }),
  (file) => Effect.promise(() => fs.rm(file, { force: true }))
)
