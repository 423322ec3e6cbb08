import { defineConfig, defineWorkspace, mergeConfig } from "vitest/config"

const shared = defineConfig({
  resolve: { conditions: ["@hikyaku/source", "node"] },
  ssr: { resolve: { conditions: ["@hikyaku/source", "node"] } },
  test: { environment: "node", setupFiles: ["test/SharedModules.ts"] }
})

/** When a test is given up, ms. No test is about time: this only ends what hangs, also on a machine that is busy. */
const bound = 240_000

/** Files that keep the machine busy with processes of their own run alone, after all the others. */
const oneByOne = { poolOptions: { forks: { singleFork: true } } }

/** unit: pure code and memory ports. integration: a real PostgreSQL or real sockets. cluster: processes that are killed and frozen. */
export default defineWorkspace([
  mergeConfig(shared, {
    test: {
      name: "unit",
      include: ["packages/*/test/**/*.test.ts", "test/{simulation,linearizability,mutation}/**/*.test.ts"],
      exclude: ["**/*.integration.test.ts", "**/node_modules/**"],
      testTimeout: bound,
      hookTimeout: bound
    }
  }),
  mergeConfig(shared, {
    test: {
      name: "integration",
      include: ["packages/*/test/**/*.integration.test.ts", "test/{contracts,e2e}/**/*.test.ts"],
      globalSetup: ["test/PostgresSetup.ts"],
      testTimeout: bound,
      hookTimeout: bound
    }
  }),
  mergeConfig(shared, {
    test: {
      name: "cluster",
      include: ["test/cluster/**/*.test.ts", "test/soak/Soak.test.ts"],
      globalSetup: ["test/PostgresSetup.ts"],
      testTimeout: bound,
      hookTimeout: bound,
      ...oneByOne
    }
  }),
  // On demand (`npm run soak -- delivery`): a batch that takes minutes to send.
  mergeConfig(shared, {
    test: {
      name: "soak",
      include: ["test/soak/DeliverySoak.test.ts"],
      globalSetup: ["test/PostgresSetup.ts"],
      testTimeout: bound,
      hookTimeout: bound,
      ...oneByOne
    }
  })
])
