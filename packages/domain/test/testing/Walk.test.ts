import { describe, expect, it } from "@effect/vitest"
import { type Decider, outcome } from "@hikyaku/domain/Actor"
import { checkDecider, strides, walk } from "@hikyaku/domain/testing"
import { Schema } from "effect"
import * as fc from "fast-check"

const Command = Schema.Struct({ by: Schema.Number })

/** Counts; forgets everything a minute after the last change. */
const counter: Decider<
  { readonly count: number; readonly endsAt: number | null },
  { readonly by: number },
  number,
  { readonly count: number; readonly endsAt: number | null }
> = {
  initial: () => ({ count: 0, endsAt: null }),
  decide: (state, { by }, now) =>
    state.endsAt !== null && state.endsAt <= now
      ? outcome(0, { count: 0, endsAt: null })
      : outcome(state.count + by, { count: state.count + by, endsAt: now + 60_000 }),
  evolve: (_, event) => event,
  dueAt: (state) => state.endsAt,
  wake: { by: 0 }
}

const commands = fc.integer({ min: 0, max: 5 }).map((by) => ({ by }))
const parameters = { seed: 7, numRuns: 50 }
const check = (decider: typeof counter, below = Infinity) =>
  checkDecider(decider, {
    id: "c-1",
    strides: strides(commands),
    invariants: {
      "never below zero": ({ after }) => after.count >= 0 || "below",
      "small": ({ after }) => after.count < below || `${after.count}`
    },
    schemas: { command: Command, reply: Schema.Number },
    parameters
  })

describe("Random walks", () => {
  it("pass when the rules hold", () => check(counter))

  it("find the shortest way to a broken rule, and say where", () => {
    expect(() => check(counter, 10)).toThrow(/small: 1\d[\s\S]*"by": [1-5]/)
    expect(() => check(counter, 1)).toThrow(/\[\[\{"advance":0,"timely":false,"command":\{"by":1\}\}\]\]/)
  })

  it("notice a decider that changes the state it was given", () => {
    const inPlace: typeof counter = {
      ...counter,
      evolve: (state, event) => Object.assign(state, event)
    }
    expect(() => check(inPlace)).toThrow(/decided again from the same state/)
  })

  it("notice what does not survive JSON", () => {
    const odd: typeof counter = { ...counter, decide: (_, command) => outcome(command.by === 5 ? -0.5 / 0 : 1) }
    expect(() => check(odd)).toThrow(/JSON|Expected/)
  })

  it("fire timers in time, or not at all", () => {
    const step = { advance: 90_000, timely: true, command: { by: 1 } }
    const steps = walk(counter, "c-1", [step, step, { ...step, timely: false }], () => {}, 0)
    expect(steps.map(({ after, now }) => [now, after.count])).toEqual([
      [90_000, 1],
      [150_000, 0],
      [180_000, 1],
      // Nobody fired the timer; the decider noticed itself.
      [270_000, 0]
    ])
  })

  it("give up on a decider that is due for ever", () => {
    const restless: typeof counter = { ...counter, decide: () => outcome(0), dueAt: () => 0 }
    expect(() => walk(restless, "c-1", [{ advance: 1, timely: true, command: { by: 1 } }])).toThrow(/due again/)
  })

  it("let an observer remember", () => {
    const claim = (most: number) => () =>
      checkDecider(counter, {
        id: "c-1",
        strides: strides(commands),
        observe: { initial: () => 0, learn: (seen: number) => seen + 1 },
        invariants: { "short": (_, seen) => seen < most || "long" },
        parameters
      })
    expect(claim(1_000_000)).not.toThrow()
    expect(claim(3)).toThrow(/short: long/)
  })
})
