import { describe, expect, it } from "@effect/vitest"
import { calmProbes, missesMax, missesMin, Suspicion } from "@hikyaku/cluster/actor/Suspicion"

/** How many silences in a row it takes until a prober speaks up. */
const patience = (suspicion: Suspicion): number => {
  for (let n = 1; n <= 100; n++) if (suspicion.missed("silent")) return n
  return Number.POSITIVE_INFINITY
}
/** It is taken out of service for its silence, and answers again. */
const falseAlarm = (suspicion: Suspicion) => {
  patience(suspicion)
  suspicion.answered(true)
}

describe("R22: what a prober holds against a runner", () => {
  it("speaks up after two misses in a row, not after two with an answer between them", () => {
    const suspicion = new Suspicion()
    expect(suspicion.missed("silent")).toBe(false)
    suspicion.answered(false)
    expect(suspicion.missed("silent")).toBe(false)
    expect(suspicion.missed("silent")).toBe(true)
  })

  it("waits longer each time that a silent runner turned out to be alive, up to a bound", () => {
    const suspicion = new Suspicion()
    const seen: Array<number> = []
    for (let n = 0; n < 5; n++) {
      seen.push(patience(suspicion))
      suspicion.answered(true)
    }
    expect(seen).toEqual([2, 4, 6, missesMax, missesMax])
  })

  it("does not wait longer for one whose connection is refused, and takes its restart for no false alarm", () => {
    const suspicion = new Suspicion()
    falseAlarm(suspicion)
    expect([suspicion.missed("refused"), suspicion.missed("refused")]).toEqual([false, true])
    suspicion.answered(true)
    expect(patience(suspicion)).toBe(4)
  })

  it("makes little of misses while the prober itself was held up, but does not wait for ever", () => {
    const suspicion = new Suspicion()
    for (let n = 1; n < missesMax; n++) expect(suspicion.missed("unsure")).toBe(false)
    expect(suspicion.missed("unsure")).toBe(true)
  })

  it("forgets a false alarm after a time of answers", () => {
    const suspicion = new Suspicion()
    falseAlarm(suspicion)
    for (let n = 0; n < calmProbes; n++) suspicion.answered(false)
    expect(patience(suspicion)).toBe(missesMin)
  })
})
