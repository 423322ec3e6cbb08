/**
 * Proves that the tests notice: breaks one check after the other in a copy of the sources and expects a test to fail.
 * `npm run mutate -- [part of a name]`. Plain JavaScript, since it only copies, edits and starts the test runner.
 */
import { spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { mutations } from "./mutations.mjs"

const root = process.cwd()
const wanted = process.argv[2] ?? ""
/** ms after which a test run counts as failed: a mutant may well loop for ever. */
const patience = 120_000

const copy = mkdtempSync(join(tmpdir(), "hikyaku-mutants-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
const skip = /(^|\/)(node_modules|dist|\.hikyaku)(\/|$)/
for (const part of ["packages/domain", "packages/cluster", "test"]) {
  cpSync(join(root, part), join(copy, part), {
    recursive: true,
    filter: (path) => !skip.test(path.slice(root.length))
  })
}
for (const file of ["package.json", "vitest.workspace.ts", "tsconfig.base.json"]) {
  cpSync(join(root, file), join(copy, file))
}
const modules = join(copy, "node_modules")
mkdirSync(join(modules, "@hikyaku"), { recursive: true })
for (const name of readdirSync(join(root, "node_modules"))) {
  if (name !== "@hikyaku" && !name.startsWith(".vite")) symlinkSync(join(root, "node_modules", name), join(modules, name))
}
for (const name of ["domain", "cluster"]) symlinkSync(join(copy, "packages", name), join(modules, "@hikyaku", name))

/** Whether the tests pass; the first failing one is enough. */
const passes = (tests) =>
  new Promise((resolve) => {
    const integration = tests.every((test) => test.startsWith("test/contracts"))
    const child = spawn(
      process.execPath,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        "--bail",
        "1",
        "--project",
        integration ? "integration" : "unit",
        ...tests
      ],
      { cwd: copy, stdio: "ignore", env: { ...process.env, HIKYAKU_SEEDS: process.env.HIKYAKU_SEEDS ?? "60" } }
    )
    const timer = setTimeout(() => child.kill("SIGKILL"), patience)
    child.on("exit", (code) => {
      clearTimeout(timer)
      resolve(code === 0)
    })
  })

let survivors = 0
for (const test of new Set(mutations.filter(({ name }) => name.includes(wanted)).flatMap(({ tests }) => tests))) {
  if (await passes([test])) continue
  console.log(`BROKEN    ${test} fails although nothing is changed`)
  process.exit(1)
}
for (const { file, from, harmless = false, name, tests, to } of mutations) {
  if (!name.includes(wanted) || harmless) continue
  const path = join(copy, file)
  const source = readFileSync(path, "utf8")
  if (source.split(from).length !== 2) {
    console.log(`STALE     ${name}: the text to change occurs ${source.split(from).length - 1} times in ${file}`)
    survivors++
    continue
  }
  writeFileSync(path, source.replace(from, () => to))
  for (const test of tests) {
    const survived = await passes([test])
    if (survived) survivors++
    console.log(`${survived ? "SURVIVED " : "killed   "} ${name} (${test})`)
  }
  writeFileSync(path, source)
}
process.exit(survivors === 0 ? 0 : 1)
