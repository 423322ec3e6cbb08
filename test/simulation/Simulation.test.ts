import "./SeededMath.ts"
import { describe, expect, it } from "vitest"
import { makeCounterWorkload } from "./CounterWorkload.ts"
import { simulate } from "./Simulation.ts"

describe("x", () => {
  it("counter", () => {
    const t = performance.now()
    let commands = 0, answered = 0, und = 0, bad = 0, diff = 0, lines = 0
    for (let i = 1; i <= Number(process.env["N"] ?? 50); i++) {
      const one = simulate(`counter-${i}`, makeCounterWorkload)
      const two = simulate(`counter-${i}`, makeCounterWorkload)
      const at = one.trace.findIndex((line, n) => line !== two.trace[n])
      if (at >= 0 || one.trace.length !== two.trace.length) { diff++; if (diff < 3) console.log("DIFF", i, at, one.trace.slice(at - 2, at + 2), two.trace.slice(at - 2, at + 2)) }
      commands += one.commands; answered += one.answered; und += one.undecided; lines += one.trace.length
      if (one.problems.length > 0) { bad++; if (bad < 6) console.log(one.seed, one.problems.slice(0, 3)) }
    }
    console.log({ commands, answered, und, bad, diff, lines, ms: performance.now() - t })
  }, 600_000)
})
