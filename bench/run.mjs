// npm run bench -- NAME [NAME...] [options]: bundles the benches (Node cannot run TypeScript) and runs one after the other.
// The packages themselves are measured as they are built and shipped, from packages/*/dist.
import { build } from "esbuild"
import { fork } from "node:child_process"
import { readdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { oneFile } from "../packages/server/oneFile.mjs"

const folder = path.dirname(fileURLToPath(import.meta.url))
process.chdir(path.dirname(folder))
const known = readdirSync(folder).filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -3)).sort()

const args = process.argv.slice(2)
const first = args.findIndex((arg) => arg.startsWith("--"))
const names = first < 0 ? args : args.slice(0, first)
const options = first < 0 ? [] : args.slice(first)
const unknown = names.filter((name) => !known.includes(name))

const common = {
  outbase: "bench",
  outdir: "bench/dist",
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  logLevel: "warning"
}
const bench = (name) => `bench/${name}.ts`
await build({
  ...common,
  entryPoints: ["rig/Options", ...names.filter((name) => known.includes(name))].map(bench),
  splitting: true,
  packages: "external"
})
// Programs of their own, started by the benches: each one file, as the server is, so that it starts soon.
await build({
  ...common,
  entryPoints: ["Driver", "PlainEntities", "Probe", "Shopper"].map((name) => bench(`rig/${name}`)),
  ...oneFile
})
const { readOptions, usage } = await import("./dist/rig/Options.js")
if (names.length === 0 || unknown.length > 0 || options.includes("--help")) {
  if (unknown.length > 0) console.error(`There is no bench ${unknown.join(", ")}.\n`)
  console.error(`${usage}\nBenches: ${known.join(", ")}`)
  process.exit(unknown.length > 0 || names.length === 0 ? 1 : 0)
}
let json
try {
  json = readOptions(options, process.env.QUIET_S).json
} catch (error) {
  console.error(`${error.message}\n\n${usage}`)
  process.exit(1)
}
if (json !== null) writeFileSync(json, "")

const table = []
let status = 0
let templateMade = false
for (const name of names) {
  const verdicts = await new Promise((resolve) => {
    let said = null
    const child = fork(`bench/dist/${name}.js`, templateMade ? [...options, "--template-made"] : options, {
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    child.on("message", (message) => said = message.verdicts)
    // Ctrl-C reaches the bench itself; we wait until it has tidied up.
    process.once("SIGINT", () => {})
    child.once("exit", (code) => resolve(code === 0 ? said : null))
  })
  templateMade ||= verdicts !== null
  if (verdicts === null) {
    status = 1
    table.push([name, "failed", "", "", ""])
  } else {for (const { goal, id, met, reached, what } of verdicts) {
      table.push([name, `${id} ${what}`, goal, reached, met ? "met" : "NOT MET"])
    }}
}

const rows = [["bench", "goal", "wanted", "reached", ""], ...table]
const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
const line = (row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd()
console.log(
  ["", line(rows[0]), widths.map((width) => "-".repeat(width)).join("  "), ...rows.slice(1).map(line)].join("\n")
)
process.exit(status)
