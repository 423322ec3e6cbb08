/**
 * Seeded runs of everything between a client's call and the store (R24). `npm run simulate -- --seeds N --from S` runs more of
 * them, `npm run simulate -- --seed product-17` one, with its trace.
 */
import "./SeededMath.ts"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { Config, Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { makeCounterWorkload } from "./CounterWorkload.ts"
import { drawFaults } from "./Faults.ts"
import { makeProductWorkload } from "./ProductWorkload.ts"
import { type Outcome, simulate } from "./Simulation.ts"
import { VirtualTime } from "./VirtualTime.ts"

/** How many seeds per kind, from which number on; or the one seed that is to be replayed. */
const settings = Effect.runSync(Config.all({
  seeds: Config.integer("HIKYAKU_SEEDS").pipe(Config.withDefault(100)),
  from: Config.integer("HIKYAKU_FROM").pipe(Config.withDefault(1)),
  only: Config.string("HIKYAKU_SEED").pipe(Config.withDefault(""))
}))
/** Every so many seeds are run twice, to compare their traces. */
const twiceEvery = 5
/** ms per seed that a slow machine may take. */
const patience = 2000

const kinds: Readonly<Record<string, (seed: string) => Outcome>> = {
  counter: (seed) => simulate(seed, makeCounterWorkload),
  product: (seed) => simulate(seed, makeProductWorkload)
}

const report = ({ problems, seed }: Outcome): string =>
  [`seed ${seed}: ${problems.length} problems`, ...problems, `replay it: npm run simulate -- --seed ${seed}`].join(
    "\n  "
  )

/** Lets the event loop turn: the test runner wants to be heard too. */
const turn = () => new Promise<void>((resume) => setImmediate(resume))

/** What a run can come to; all of it has to occur, or the simulation tests less than it seems to. */
const events = [
  " Stale",
  " Known",
  " Late",
  " Fault",
  " Unknown",
  " dies",
  "another history",
  "\"Overloaded\"",
  "-> r",
  " lost",
  "\"cell\":\"hot-",
  "\"cell\":\"c"
]
const seen = new Map(events.map((event) => [event, 0]))

const totals = { runs: 0, commands: 0, answered: 0, lasted: 0 }
const undecided: Array<string> = []

describe.runIf(settings.only === "")("G1-G6, R24: seeded simulation", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it(`${kind}: ${settings.seeds} seeds from ${settings.from}`, async () => {
      const failures: Array<string> = []
      for (let number = settings.from; number < settings.from + settings.seeds; number++) {
        const outcome = run(`${kind}-${number}`)
        totals.runs++
        totals.commands += outcome.commands
        totals.answered += outcome.answered
        if (outcome.undecided > 0) undecided.push(outcome.seed)
        totals.lasted += outcome.lasted
        for (const line of outcome.trace) {
          for (const event of events) if (line.includes(event)) seen.set(event, (seen.get(event) ?? 0) + 1)
        }
        if (outcome.problems.length > 0) failures.push(report(outcome))
        if (number % twiceEvery === 0) {
          const again = run(`${kind}-${number}`)
          const apart = outcome.trace.findIndex((line, i) => line !== again.trace[i])
          if (apart >= 0 || outcome.trace.length !== again.trace.length) {
            failures.push(`R24: seed ${outcome.seed} does not replay from event ${apart} on`)
          }
        }
        await turn()
      }
      expect(failures.slice(0, 5).join("\n"), `${failures.length} seeds failed`).toBe("")
    }, settings.seeds * patience + 5000)
  }

  afterAll(() => {
    const { answered, commands, lasted, runs } = totals
    const hours = (lasted / 3_600_000).toFixed(1)
    console.log(
      `simulated ${runs} runs, ${hours} h: ${commands} commands, ${answered} answered, ${undecided.length} undecided (${
        undecided.join(" ")
      }); ` +
        [...seen].map(([event, count]) => `${event.trim()} ${count}`).join(", ")
    )
    expect(undecided.length).toBeLessThanOrEqual(runs / 50)
    if (runs >= 200) { for (const [event, count] of seen) expect(count, event).toBeGreaterThan(20) }
  })
})

describe.runIf(settings.only !== "")("one seed", () => {
  it(`${settings.only} is replayed`, () => {
    const run = kinds[settings.only.split("-")[0] ?? ""]
    if (run === undefined) throw new Error(`a seed begins with one of ${Object.keys(kinds).join(", ")}`)
    const outcome = run(settings.only)
    console.log(outcome.trace.join("\n"))
    if (outcome.problems.length > 0) throw new Error(report(outcome))
  }, 600_000)
})

describe("R24: the simulation itself", () => {
  it("time goes on only when nothing is ready, to the next timer, in order", () => {
    const time = new VirtualTime(makeSeededRandom("time"))
    const seen: Array<string> = []
    const note = (what: string) => () => seen.push(`${what} at ${time.now}`)
    time.after(5, note("b"))
    time.after(5, note("c"))
    const cancel = time.after(4, note("never"))
    time.after(3, () => {
      note("a")()
      cancel()
      time.soon(note("soon"))
      time.after(-1, note("at once"))
    })
    time.run(() => false, 100)
    expect(seen).toEqual(["a at 3", "soon at 3", "at once at 3", "b at 5", "c at 5"])
  })

  it("a heap of timers fires in order", () => {
    const random = makeSeededRandom("heap")
    const time = new VirtualTime(random)
    const fired: Array<number> = []
    for (let i = 0; i < 500; i++) time.after(random.between(0, 200), () => fired.push(time.now))
    time.run(() => false, 1000)
    expect(fired).toHaveLength(500)
    expect(fired).toEqual(fired.toSorted((a, b) => a - b))
  })

  it("what never comes to rest is noticed", () => {
    const time = new VirtualTime(makeSeededRandom("loop"))
    const again = () => time.soon(again)
    again()
    expect(() => time.run(() => false, 1000)).toThrow("nothing came to rest")
  })

  it("seeds differ in what goes wrong, and every fault has its turn", () => {
    const drawn = Array.from({ length: 200 }, (_, i) => drawFaults(makeSeededRandom(`faults-${i}`)))
    for (const name of Object.keys(drawn[0]!)) {
      const values = new Set(drawn.map((faults) => Object.entries(faults).find(([key]) => key === name)?.[1]))
      expect(values.size, name).toBeGreaterThan(50)
    }
  })

  it("different seeds go different ways", () => {
    const traces = new Set(Array.from({ length: 5 }, (_, i) => kinds["counter"]!(`other-${i}`).trace.join("\n")))
    expect(traces.size).toBe(5)
  })
})
