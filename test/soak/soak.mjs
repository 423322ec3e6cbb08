/**
 * Real processes under load, killed and restarted, judged in the end. `cart`: everything of the shop dies and comes back at
 * random. `delivery`: the runner that sends a batch is killed twice. Plain JavaScript, since it only starts the test runner.
 * Fails when anything is wrong.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"

const usage = `npm run soak -- cart [--minutes 10] [--seed N]
npm run soak -- delivery [--recipients 200000]`
const fail = (message) => {
  process.stderr.write(`${message}\n${usage}\n`)
  process.exit(2)
}

let parsed
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: "string" }, seed: { type: "string" }, recipients: { type: "string" } }
  })
} catch (error) {
  fail(error.message)
}
const { positionals: [workload, ...rest], values } = parsed
if (rest.length > 0) fail(`One workload at a time, not ${rest[0]} as well`)

/** The test file of a workload, the project that it is part of, and what it is told by the environment. */
const cart = () => {
  if (values.recipients !== undefined) fail("--recipients goes with delivery")
  const minutes = Number(values.minutes ?? 10)
  if (!(minutes > 0 && minutes <= 24 * 60)) fail(`--minutes ${values.minutes}: a number above 0, at most a day`)
  const seed = values.seed ?? String(Date.now() % 1_000_000)
  process.stderr.write(`Soak of ${minutes} min with --seed ${seed}\n`)
  return ["test/soak/Soak.test.ts", "cluster", { HIKYAKU_SOAK_MINUTES: String(minutes), HIKYAKU_SOAK_SEED: seed }]
}
const delivery = () => {
  if (values.minutes !== undefined || values.seed !== undefined) fail("--minutes and --seed go with cart")
  const recipients = Number(values.recipients ?? 200_000)
  if (!(Number.isInteger(recipients) && recipients >= 1_000 && recipients <= 2_000_000)) {
    fail(`--recipients ${values.recipients}: a whole number from 1000 to 2000000`)
  }
  process.stderr.write(`A batch to ${recipients} recipients, and a realtime mail a second\n`)
  return ["test/soak/DeliverySoak.test.ts", "soak", { HIKYAKU_SOAK_RECIPIENTS: String(recipients) }]
}
const workloads = { cart, delivery }
if (!Object.hasOwn(workloads, workload ?? "")) {
  fail(`There is no workload ${workload ?? "of no name"}; there are: ${Object.keys(workloads).join(", ")}`)
}
const [file, project, environment] = workloads[workload]()

const { status } = spawnSync(
  "npx",
  ["vitest", "run", file, `--project=${project}`, "--disableConsoleIntercept=true"],
  { stdio: "inherit", env: { ...process.env, ...environment } }
)
process.exit(status ?? 1)
