/** Plays commands to a campaign through a journal, a unit at a time, and compares what is loaded again with what was live. */
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand, CampaignReply } from "@hikyaku/domain/marketing/CampaignCommand"
import type { CampaignState } from "@hikyaku/domain/marketing/CampaignState"
import { Effect } from "effect"
import { expect } from "vitest"

export const hour = 3_600_000
export const day = 24 * hour
export const noon = Date.UTC(2025, 5, 2, 3)
/** The time inside the command ids: outcomes are kept in partitions by it. */
export const commandsAt = 1_700_000_000_000

export const definition: CampaignDefinition = {
  id: "c-1",
  name: "値下げ",
  trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < event.before" },
  class: "realtime",
  priority: 7,
  channels: ["mail"],
  segment: { _tag: "Any", of: [{ _tag: "Favourited", of: { product: "$event" } }, { _tag: "Everyone" }] },
  caps: [{ count: 0, windowMs: day }],
  cooldown: { productMs: hour },
  deadlineMs: 6 * hour,
  timePolicy: { _tag: "Slots", hours: [9, 18] },
  content: { ja: { mail: { subject: "「𠮷」", html: "<p>\"'\\</p>", text: "x" } } }
}
export const define = (over: Partial<CampaignDefinition> = {}): CampaignCommand => ({
  _tag: "Define",
  definition: { ...definition, ...over },
  author: "aya",
  timeZone: "Asia/Tokyo"
})
export const fire = (offset: number, product: string, at: number): CampaignCommand => ({
  _tag: "Fire",
  partition: 3,
  offset,
  event: `shop/${offset}`,
  at,
  version: 1,
  product,
  parameters: { before: 10, after: 5 }
})

let n = 0

const shown = (state: CampaignState) =>
  state._tag === "Undefined" ? state : { ...state, lastByProduct: [...state.lastByProduct.entries()].sort() }

/** Plays units of commands, each at its instant; answers all replies and the last state as it is stored. */
export const play = (units: ReadonlyArray<readonly [now: number, ...commands: ReadonlyArray<CampaignCommand>]>) =>
  Effect.gen(function*() {
    const journal = (yield* Journal).of(campaignKind)
    const replies: Array<CampaignReply> = []
    for (const [now, ...commands] of units) {
      const [loaded] = yield* journal.load(["c-1"])
      const live = loaded ?? {
        actor: "c-1",
        state: campaignKind.decider.initial("c-1"),
        fence: { version: 0, writer: "", cell: "cell", epoch: 0 },
        clock: 0
      }
      const builder = new UnitBuilder(campaignKind, "c-1", live)
      for (const command of commands) {
        const id = commandIdFrom(commandsAt, 0.5, 0.5, ++n / 1_000)
        replies.push(builder.decide(command, now, id, `${n}`, Number.POSITIVE_INFINITY).reply)
      }
      const built = builder.build("writer")
      const [verdict] = yield* journal.commit([built.unit])
      expect(verdict).toEqual({ _tag: "Committed" })
      const [again] = yield* journal.load(["c-1"])
      expect(shown(again?.state ?? live.state)).toEqual(shown(built.live.state))
    }
    return replies
  })

/** A life with everything that leaves a row. */
export const life: ReadonlyArray<readonly [now: number, ...commands: ReadonlyArray<CampaignCommand>]> = [
  [noon, define()],
  [noon, fire(1, "p1", noon), fire(2, "p2", noon), fire(3, "p1", noon)],
  [noon + 1, fire(3, "p3", noon), { _tag: "Spend", run: "c-1.e3-1", page: "", count: 40 }],
  [noon + 1, { _tag: "Settle", run: "c-1.e3-1", page: "", used: 30 }, {
    _tag: "Spend",
    run: "r",
    page: "m1",
    count: 5,
    unsent: 2
  }],
  [noon + 2, define({ priority: 8, budgetPerDay: 100 }), define({ priority: 9, budgetPerDay: 100 })],
  [noon + 3, { _tag: "Pause", author: "ken" }],
  [noon + 4, fire(4, "p4", noon), { _tag: "Resume", author: "ken" }],
  // The next day what has cooled down is forgotten, and one of them fires again in the same unit.
  [noon + day, fire(5, "p3", noon + day), fire(6, "p1", noon + day), fire(7, "p2", noon + day)],
  [noon + day, { _tag: "Rollback", to: 1, definition, author: "aya", timeZone: "Asia/Tokyo" }],
  [noon + day, define({ trigger: { _tag: "Cron", cron: "0 10 * * 5" }, segment: { _tag: "Everyone" } })],
  [noon + 4 * day, { _tag: "Wake" }]
]
