// The server's processes as one file, packages/server/dist/bundle/main.js: one that starts loads a file instead of a thousand
// modules, which takes half the CPU time. From what tsc has built, so that types are checked before; run after it.
import { build } from "esbuild"
import { statSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { oneFile } from "./oneFile.mjs"

const packages = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const outfile = path.join(packages, "server/dist/bundle/main.js")

const writtenAt = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
// tsc rewrites these whenever it builds anything, npm the last one.
const inputs = [
  fileURLToPath(import.meta.url),
  path.join(packages, "server/oneFile.mjs"),
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
    ...oneFile,
    // Not `keepNames`: it defines the name of every function anew whenever one is made, and closures are made all the time.
    logLevel: "warning"
  })
}
