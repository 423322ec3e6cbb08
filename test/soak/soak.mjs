/**
 * `npm run soak -- cart --minutes 10 [--seed N]`: real processes under load, killed, frozen and restarted at random, judged
 * in the end. Plain JavaScript, since it only starts the test runner. Fails when anything is wrong.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"

const usage = "npm run soak -- cart [--minutes 10] [--seed N]"
const fail = (message) => {
  process.stderr.write(`${message}\n${usage}\n`)
  process.exit(2)
}

let parsed
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } }
  })
} catch (error) {
  fail(error.message)
}
const { positionals: [workload, ...rest], values } = parsed
if (workload !== "cart" || rest.length > 0) fail(`There is no workload ${workload ?? "of no name"}; there is: cart`)
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 24 * 60)) fail(`--minutes ${values.minutes}: a number above 0, at most a day`)
const seed = values.seed ?? String(Date.now() % 1_000_000)

process.stderr.write(`Soak of ${minutes} min with --seed ${seed}\n`)
const { status } = spawnSync(
  "npx",
  ["vitest", "run", "test/soak", "--project=failures", "--disableConsoleIntercept=true"],
  { stdio: "inherit", env: { ...process.env, HIKYAKU_SOAK_MINUTES: String(minutes), HIKYAKU_SOAK_SEED: seed } }
)
process.exit(status ?? 1)
