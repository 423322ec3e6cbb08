import "./SeededMath.ts"
import { it } from "vitest"
import { makeCounterWorkload } from "./CounterWorkload.ts"
import { simulate } from "./Simulation.ts"
import { writeFileSync } from "node:fs"
it("dump", () => {
  const r = simulate(process.env["SEED"]!, makeCounterWorkload)
  writeFileSync("/tmp/own/trace.txt", r.trace.join("\n"))
  console.log(r.problems)
}, 100000)
