import { defineWorkspace } from "vitest/config"
export default defineWorkspace([{
  resolve: { conditions: ["@hikyaku/source", "node"] },
  ssr: { resolve: { conditions: ["@hikyaku/source", "node"] } },
  test: { name: "x", environment: "node", include: ["packages/*/test/**/*.test.ts","test/**/*.test.ts"], testTimeout: 60000 }
}])
