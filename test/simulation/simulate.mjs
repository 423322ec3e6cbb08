/**
 * Runs the seeded simulation on demand: `npm run simulate -- [--seeds N] [--from S] [--seed NAME-N]`. The last one replays a
 * single seed and prints its trace. Plain JavaScript, since it only starts the test runner.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" }
  }
})
const { status } = spawnSync("npx", ["vitest", "run", "--project", "unit", "test/simulation"], {
  stdio: "inherit",
  env: {
    ...process.env,
    HIKYAKU_SEEDS: values.seeds,
    HIKYAKU_FROM: values.from,
    HIKYAKU_SEED: values.seed ?? ""
  }
})
process.exit(status ?? 1)
