// node bench/profile.mjs FILE|FOLDER... [--top N]: where the time of CPU profiles (--profile of the benches, or node
// --cpu-prof) goes: self time by part, then the functions with most of it. Idle time is left out.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { SourceMap } from "node:module"
import path from "node:path"
import { fileURLToPath } from "node:url"

// The first that fits counts. Built packages and installed ones look alike but for their paths.
const parts = [
  ["garbage collection", ({ name }) => name === "(garbage collector)"],
  [
    "system calls, native code, pre-empted",
    ({ name, url }) => name === "(program)" || (url === "" && !name.startsWith("("))
  ],
  ["node: sockets, timers, buffers", ({ url }) => url.startsWith("node:")],
  ["MessagePack (msgpackr)", ({ url }) => url.includes("/msgpackr/")],
  ["PostgreSQL protocol (pg)", ({ url }) => /\/(pg|pg-protocol|pg-pool|pg-types|pgpass|postgres-[a-z]+)\//.test(url)],
  [
    "@effect/cluster, rpc, platform",
    ({ url }) => /\/@effect\/(cluster|rpc|platform|platform-node|platform-node-shared|workflow)\//.test(url)
  ],
  ["@effect/sql", ({ url }) => url.includes("/@effect/sql")],
  ["Effect runtime and Schema", ({ url }) => url.includes("/node_modules/effect/")],
  ["WebSocket (ws)", ({ url }) => url.includes("/node_modules/ws/")],
  ["wire format (Wire)", ({ url }) => /\/actor\/Wire\./.test(url)],
  ["client queues (ClientQueue, ActorClient)", ({ url }) => /\/actor\/(ClientQueue|ActorClient)/.test(url)],
  [
    "cell (Cell, Intake, FairQueue, UnitBuilder, Carrier)",
    ({ url }) => /\/actor\/(Cell|Intake|FairQueue|UnitBuilder|Carrier|Placement)/.test(url)
  ],
  ["journal (Journal*, Table)", ({ url }) => /\/actor\/(Journal|Table)/.test(url)],
  [
    "deciding and rows of products",
    ({ url }) => /\/stock\//.test(url) || /domain\/(dist|src)\/(Actor|Identifier)/.test(url)
  ],
  ["events, campaigns, members", ({ url }) => /\/marketing\//.test(url)],
  ["delivery", ({ url }) => /\/delivery\//.test(url)],
  ["API of the gateway", ({ url }) => /server\/(dist|src)\/(rpc|http)\//.test(url) || /\/api\//.test(url)],
  ["the bench's own callers", ({ url }) => /bench\/(dist|rig)\//.test(url)],
  ["other packages", ({ url }) => url.includes("/node_modules/")],
  ["the rest", () => true]
]

const args = process.argv.slice(2)
const at = args.indexOf("--top")
const top = at < 0 ? 25 : Number(args.splice(at, 2)[1])
const files = args.flatMap((name) =>
  statSync(name).isDirectory()
    ? readdirSync(name).filter((file) => file.endsWith(".cpuprofile")).sort().map((file) => path.join(name, file))
    : [name]
)
if (files.length === 0) {
  console.error("node bench/profile.mjs FILE|FOLDER... [--top N]")
  process.exit(1)
}

/** Where a function of a program that is one file comes from, by the map beside it. */
const maps = new Map()
const mapOf = (url) => {
  if (maps.has(url)) return maps.get(url)
  const file = url.startsWith("file:") ? `${fileURLToPath(url)}.map` : null
  const map = file !== null && existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, "utf8"))) : null
  maps.set(url, map)
  return map
}
const sourceOf = ({ columnNumber, functionName, lineNumber, url }) => {
  const entry = mapOf(url)?.findEntry(lineNumber, columnNumber)
  return entry?.originalSource === undefined
    ? { name: functionName, url, line: lineNumber + 1 }
    : { name: functionName, url: new URL(entry.originalSource, url).href, line: entry.originalLine + 1 }
}

const short = (url) => {
  const installed = url.lastIndexOf("/node_modules/")
  if (installed >= 0) return url.slice(installed + 14).replace("/dist/esm/", "/")
  const own = url.lastIndexOf("/packages/")
  return own >= 0
    ? url.slice(own + 10).replace("/dist/", "/")
    : url.replace(/^file:\/\//, "").replace(`${process.cwd()}/`, "")
}

for (const file of files) {
  const { endTime, nodes, samples, startTime, timeDeltas } = JSON.parse(readFileSync(file, "utf8"))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const self = new Map()
  let idle = 0
  for (let i = 0; i < samples.length; i++) {
    const { callFrame } = byId.get(samples[i])
    const µs = Math.max(0, timeDeltas[i])
    // The profiler's own start, which compiles what it needs for every function there is.
    if (callFrame.functionName === "dispatch" && callFrame.url === "") continue
    if (callFrame.functionName === "(idle)") {
      idle += µs
      continue
    }
    const key = `${callFrame.functionName}\t${callFrame.url}\t${callFrame.lineNumber}`
    const entry = self.get(key)
    if (entry === undefined) {
      self.set(key, { ...sourceOf(callFrame), µs })
    } else entry.µs += µs
  }
  const entries = [...self.values()]
  const busy = entries.reduce((sum, { µs }) => sum + µs, 0)
  const share = (µs) => `${(µs / busy * 100).toFixed(1).padStart(5)} %`
  console.log(
    `\n${file}: ${((endTime - startTime) / 1e6).toFixed(2)} s, busy ${(busy / 1e6).toFixed(2)} s, idle ${
      (idle / 1e6).toFixed(2)
    } s\n`
  )
  const sums = parts.map((
    [part],
    i
  ) => [
    part,
    entries.filter((entry) => parts.findIndex(([, test]) => test(entry)) === i).reduce((sum, { µs }) => sum + µs, 0)
  ])
  for (const [part, µs] of sums.sort((a, b) => b[1] - a[1])) if (µs > 0) console.log(`${share(µs)}  ${part}`)
  console.log("")
  for (const { line, name, url, µs } of entries.sort((a, b) => b.µs - a.µs).slice(0, top)) {
    console.log(`${share(µs)}  ${name === "" ? "(anonymous)" : name}${url === "" ? "" : `  ${short(url)}:${line}`}`)
  }
}
