/**
 * `npm run mutate [-- PATTERN...]`: takes away each check that carries a promise, in a copy of the tree, and runs the test
 * that is to notice. A mutation that no test notices is a hole: the run fails and names it. Plain JavaScript, since it only
 * starts the test runner.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { mutations } from "./Mutations.mjs"

const root = fileURLToPath(new URL("../../", import.meta.url))
/** What one run of a test may take before it counts as hung, ms: the longest takes half of it. */
const patience = 60_000
/** Runs at one time, each in a copy of its own. */
const lanes = Math.min(2, os.availableParallelism())

const patterns = process.argv.slice(2)
const chosen = mutations.filter(({ id }) => patterns.length === 0 || patterns.some((each) => id.includes(each)))
if (chosen.length === 0) {
  process.stderr.write(`No mutation is called so; there are:\n${mutations.map(({ id }) => `  ${id}`).join("\n")}\n`)
  process.exit(2)
}

/** A tree of its own: the sources are copied, the packages of others linked, our own linked within the copy. */
const copyTree = async () => {
  const copy = await fs.mkdtemp(path.join(os.tmpdir(), `hikyaku-test-${process.pid}-mutation-`))
  await fs.chmod(copy, 0o755)
  // Databases of benches and demos are in `.hikyaku`: large, and they may change while they are read.
  const skip = new Set(["node_modules", "dist", ".git", ".cache", ".hikyaku"])
  await fs.cp(root, copy, { recursive: true, filter: (file) => !skip.has(path.basename(file)) })
  const modules = path.join(copy, "node_modules")
  await fs.mkdir(modules)
  for (const name of await fs.readdir(path.join(root, "node_modules"))) {
    if (name !== "@hikyaku" && !name.startsWith(".")) {
      await fs.symlink(path.join(root, "node_modules", name), path.join(modules, name))
    }
  }
  await fs.mkdir(path.join(modules, "@hikyaku"))
  for (const name of await fs.readdir(path.join(copy, "packages"))) {
    await fs.symlink(path.join(copy, "packages", name), path.join(modules, "@hikyaku", name))
    const own = path.join(root, "packages", name, "node_modules")
    await fs.symlink(own, path.join(copy, "packages", name, "node_modules")).catch(() => {})
  }
  return copy
}

/** Runs tests of a copy, those named alone if any are; what their report says, or null when they did not end by themselves. */
const runTests = async (copy, project, files, only) => {
  const report = path.join(copy, "report.json")
  await fs.rm(report, { force: true })
  const child = spawn(process.execPath, [
    path.join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--project",
    project,
    "--bail",
    files.length > 1 ? "0" : "1",
    "--reporter=json",
    `--outputFile=${report}`,
    ...(only === undefined ? [] : ["--testNamePattern", only]),
    ...files
  ], { cwd: copy, stdio: ["ignore", "ignore", "pipe"], detached: true })
  let said = ""
  child.stderr.on("data", (chunk) => said = (said + chunk).slice(-4_000))
  const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), files.length * patience)
  const signal = await new Promise((resolve) => child.once("close", (_, how) => resolve(how)))
  clearTimeout(timer)
  if (signal !== null) return null
  const { numFailedTests, numPassedTests, testResults } = JSON.parse(
    await fs.readFile(report, "utf8").catch(() => "{\"numFailedTests\":0,\"numPassedTests\":0,\"testResults\":[]}")
  )
  return { numFailedTests, numPassedTests, testResults, said }
}

const mutate = async (copy, { file, find, only, project, replace, test }) => {
  const place = path.join(copy, file)
  const source = await fs.readFile(place, "utf8")
  const parts = source.split(find)
  if (parts.length !== 2) return `STALE: its text is found ${parts.length - 1} times`
  await fs.writeFile(place, parts.join(replace))
  try {
    const result = await runTests(copy, project, [test], only)
    if (result === null) return "killed (hangs)"
    if (result.numFailedTests > 0) return "killed"
    // Nothing ran: the edit is no program, or the set-up fails, which shows nothing about the check.
    return result.numPassedTests > 0 ? "SURVIVED" : `BROKEN: no test ran ${result.said.split("\n")[0]}`
  } finally {
    await fs.writeFile(place, source)
  }
}

const copies = await Promise.all(Array.from({ length: lanes }, copyTree))
const rows = []
let failed = false
try {
  // A test that fails anyway kills everything: first all of them must pass on what is not changed.
  const suites = new Map(
    chosen.map(({ only, project }) => [JSON.stringify([project, only ?? null]), { only, project }])
  )
  for (const { only, project } of suites.values()) {
    const files = [
      ...new Set(chosen.filter((each) => each.project === project && each.only === only).map(({ test }) => test))
    ]
    const result = await runTests(copies[0], project, files, only)
    const reached = new Set((result?.testResults ?? []).map(({ name }) => path.relative(copies[0], name)))
    const missing = files.filter((file) => !reached.has(file))
    const none = result !== null && result.numPassedTests === 0
    if (result === null || result.numFailedTests > 0 || missing.length > 0 || none) {
      const bad = (result?.testResults ?? []).filter(({ status }) => status !== "passed").map(({ name }) => name)
      const which = only === undefined ? "" : ` (those named ${only})`
      const what = none && bad.length === 0 ? [`no test of ${files.join(", ")} ran`] : [...bad, ...missing]
      process.stderr.write(`Without any mutation these fail or are missing${which}: ${what.join(", ")}\n`)
      failed = true
    }
  }
  if (!failed) {
    const queue = [...chosen]
    await Promise.all(copies.map(async (copy) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const began = performance.now()
        const verdict = await mutate(copy, next)
        const seconds = ((performance.now() - began) / 1_000).toFixed(1)
        if (!verdict.startsWith("killed")) failed = true
        process.stderr.write(`${String(rows.length + 1).padStart(3)}/${chosen.length}  ${next.id}: ${verdict}\n`)
        rows.push([chosen.indexOf(next), [next.id, next.rule, path.basename(next.test), verdict, seconds]])
      }
    }))
  }
} finally {
  await Promise.all(copies.map((copy) => fs.rm(copy, { recursive: true, force: true, maxRetries: 3 })))
}
const table = [
  ["mutation", "rule", "test", "verdict", "s"],
  ...rows.sort(([a], [b]) => a - b).map(([, row]) => row)
]
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
if (rows.length > 0) {
  const line = (row) => row.map((cell, n) => cell.padEnd(widths[n])).join("  ").trimEnd()
  process.stdout.write(`\n${table.map(line).join("\n")}\n`)
  const killed = rows.filter(([, row]) => row[3].startsWith("killed")).length
  process.stdout.write(`\n${killed} of ${rows.length} mutations killed\n`)
}
process.exit(failed ? 1 : 0)
