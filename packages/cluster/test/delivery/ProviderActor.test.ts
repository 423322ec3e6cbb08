/** What is stored of a provider account is all that there is to know: whoever restores it knows what was started (R20). */
import { RowWriter } from "@hikyaku/cluster/actor/Table"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import type { ProviderCommand } from "@hikyaku/domain/delivery/ProviderCommand"
import { operations, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TablesMemory } from "../stock/ProductTablesMemory.ts"

const limits = {
  concurrency: { ...unbounded, total: 6 },
  perSecond: { ...unbounded, send: 20 },
  messages: { perSecond: 100, perDay: 1_000 },
  marginMs: 50
}

const commands = fc.array(
  fc.record({
    pause: fc.oneof({ weight: 6, arbitrary: fc.nat(1_000) }, { weight: 1, arbitrary: fc.nat(40_000_000) }),
    act: fc.constantFrom("ask", "ask", "end", "lost", "throttled", "takeover"),
    operation: fc.constantFrom("send" as const, ...operations),
    messages: fc.nat(90),
    which: fc.nat(20)
  }),
  { minLength: 20, maxLength: 40 }
)

describe("providerKind", () => {
  it("restores from its rows what it was, after any history: slots with their messages, and what was sent today", () => {
    let [slots, parts] = [0, 0]
    fc.assert(
      fc.property(commands, (steps) => {
        const { decider } = providerKind
        const tables = new TablesMemory(providerKind)
        let state = decider.initial("mail")
        let wall = 1_800_000_000_000
        const carryOut = (command: ProviderCommand) => {
          const { events } = decider.decide(state, command, wall)
          const writer = new RowWriter()
          for (const event of events) {
            const before = state
            state = decider.evolve(state, event)
            providerKind.write(writer, { id: "mail", before, after: state, event, now: wall })
          }
          writer.all().forEach((write) => tables.write(write))
          tables.writeMain(providerKind.mainRow(state))
          const main = JSON.parse(JSON.stringify(tables.main))
          expect(providerKind.restore("mail", main, tables.live())).toEqual(state)
          slots += [...state.slots.values()].filter((slot) => (slot.messages ?? 0) > 0).length
          parts += state.day.length
        }
        carryOut({ _tag: "Configure", limits })
        carryOut({ _tag: "Takeover", owner: "o", wall })
        steps.forEach(({ act, messages, operation, pause, which }, n) => {
          wall += pause
          const open = [...state.slots.keys()]
          const id = open[which % Math.max(1, open.length)]
          if (act === "takeover") return carryOut({ _tag: "Takeover", owner: "o", wall })
          const ended = act === "ask" || id === undefined ? [] : [{
            id,
            startedBy: wall,
            busyForMs: act === "lost" ? 2_000 : 0,
            throttledForMs: act === "throttled" ? 100 : null
          }]
          const requests = act === "ask"
            ? [{
              id: `${n}`,
              operation,
              class: "batch" as const,
              leaseMs: 500,
              endsWithinMs: 5_000,
              ...(operation === "send" && { messages })
            }]
            : []
          carryOut({ _tag: "AcquireSlots", owner: "o", wall, ended, requests })
        })
      }),
      { numRuns: 200 }
    )
    // The histories do lead there.
    expect(Math.min(slots, parts)).toBeGreaterThan(500)
  })

  it("reads what was stored before messages were counted", () => {
    const state = providerKind.decider.initial("mail")
    const { pace: _, ...row } = providerKind.mainRow(state)
    const pace = { starts: [{ operation: "send", by: 5 }], pushback: state.pushback }
    expect(providerKind.restore("mail", { ...row, pace }, {})).toMatchObject({
      day: [],
      starts: [{ operation: "send", by: 5, messages: 0 }]
    })
  })
})
