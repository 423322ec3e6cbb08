import { describe, expect, it } from "@effect/vitest"
import { answer, type Decider, outcome } from "@hikyaku/domain/Actor"
import { given, Mismatch } from "@hikyaku/domain/testing"

type Command = { readonly _tag: "Press" } | { readonly _tag: "Read" } | { readonly _tag: "Ring" }
type Event = { readonly _tag: "Pressed" | "Rang"; readonly at: number }

/** A bell that rings a second after it was pressed. */
const bell: Decider<{ readonly ringAt: number | null; readonly rung: number }, Command, number, Event> = {
  initial: () => ({ ringAt: null, rung: 0 }),
  decide: (state, command, now) => {
    switch (command._tag) {
      case "Press":
        return outcome<number, Event>(state.rung, { _tag: "Pressed", at: now })
      case "Read":
        return answer(state.rung)
      case "Ring":
        return state.ringAt !== null && state.ringAt <= now
          ? outcome<number, Event>(state.rung + 1, { _tag: "Rang", at: now })
          : answer(state.rung)
    }
  },
  evolve: (state, event) =>
    event._tag === "Pressed" ? { ...state, ringAt: event.at + 1_000 } : { ringAt: null, rung: state.rung + 1 },
  dueAt: (state) => state.ringAt,
  wake: { _tag: "Ring" }
}

describe("given/when/then", () => {
  const pressed = given(bell, "b-1").commands(0, { _tag: "Press" })

  it("passes when what is expected is what happens", () => {
    pressed.when({ _tag: "Read" }, 10).reply(0).nothing().final(false).due(1_000)
      .and.whenTimer(1_000).reply(1).events({ _tag: "Rang", at: 1_000 }).final(true).due(null)
      .has((state) => state.rung, 1)
  })

  it("starts from facts as well", () => {
    given(bell, "b-1").events({ _tag: "Pressed", at: 5 }, { _tag: "Rang", at: 6 }).when({ _tag: "Read" }, 7).reply(1)
  })

  it("leaves a past as it was, so that it can be continued in several ways", () => {
    pressed.commands(1_000, { _tag: "Ring" }).when({ _tag: "Read" }, 1_000).reply(1)
    pressed.when({ _tag: "Read" }, 1_000).reply(0)
  })

  it.each<[string, () => unknown]>([
    ["reply", () => pressed.when({ _tag: "Read" }, 1).reply(1)],
    ["events", () => pressed.when({ _tag: "Press" }, 1).events()],
    ["an event too many", () => pressed.when({ _tag: "Read" }, 1).events({ _tag: "Rang", at: 1 })],
    ["nothing", () => pressed.when({ _tag: "Press" }, 1).nothing()],
    ["final", () => pressed.when({ _tag: "Read" }, 1).final(true)],
    ["due", () => pressed.when({ _tag: "Read" }, 1).due(null)],
    ["state", () => pressed.when({ _tag: "Read" }, 1).has((state) => state.rung, 2)],
    ["a timer that is not due", () => pressed.whenTimer(999)]
  ])("fails on a difference: %s", (_, claim) => expect(claim).toThrow(Mismatch))

  it("says what was expected and what was found", () => {
    expect(() => pressed.when({ _tag: "Read" }, 1).reply(7)).toThrow(/expected: 7\s+actual: +0/)
  })
})
