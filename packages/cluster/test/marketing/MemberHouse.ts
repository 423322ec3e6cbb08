/** What the tests of the Member actor share: a member who decides in rounds, as their cell would, and random histories. */
import type { Unit } from "@hikyaku/cluster/actor/Journal"
import { type Live, UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { makeMemberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { channels } from "@hikyaku/domain/marketing/Channel"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import {
  considerCommand,
  deliveryId,
  type FeedbackKind,
  type MemberCommand,
  type MemberReply,
  type Terms
} from "@hikyaku/domain/marketing/Member"
import { type Member, unknownMember } from "@hikyaku/domain/marketing/MemberState"
import * as fc from "fast-check"

/** Members without "東京" among their attributes do not pass the filter "東京". */
export const kind = makeMemberKind({
  timeZone: "Asia/Tokyo",
  filter: (filter, { member }) =>
    member.attributes["city"] === filter ? null : { why: `${filter} is not the city`, fault: false }
})

/** Time inside the ids of commands and the first instant of a history, ms since the epoch. */
export const at = Date.parse("2025-10-09T00:00:00Z")
const hour = 3_600_000
let ids = 0

export const terms: Terms = {
  class: "batch",
  priority: 5,
  channels: ["mail", "line", "push"],
  caps: [{ count: 2, windowMs: 6 * hour }],
  globalCaps: [{ count: 4, windowMs: 10 * hour }, { channel: "mail", count: 2, windowMs: 5 * hour }],
  cooldownMs: 2 * hour,
  holdoutShare: 0.1,
  timePolicy: { _tag: "Immediate" },
  outsideHours: "hold",
  timeZone: "Asia/Tokyo",
  displaces: true,
  keepMs: 12 * hour
}
const variants: ReadonlyArray<Terms> = [
  terms,
  { ...terms, class: "realtime", priority: 9 },
  { ...terms, class: "transactional", channels: ["mail"] },
  { ...terms, filter: "東京" },
  { ...terms, timePolicy: { _tag: "BestHour" }, quietHours: { from: 1_320, to: 480 } }
]

const runs = ["r1", "r2", "r3", "r4", "r5", "r6"]
const command = (member: string, now: number): fc.Arbitrary<MemberCommand> => {
  const delivery = fc.constantFrom(...runs).map((run) => deliveryId(run, member))
  const channel = fc.constantFrom(...channels)
  const kinds: ReadonlyArray<fc.WeightedArbitrary<MemberCommand>> = [
    {
      weight: 10,
      arbitrary: fc.record({
        run: fc.constantFrom(...runs),
        campaign: fc.constantFrom("a", "b"),
        terms: fc.constantFrom(...variants),
        product: fc.option(fc.constantFrom("p-1", "p-2"), { nil: undefined }),
        wait: fc.constantFrom(0, 0, hour, 3 * hour)
      }).map(({ product, wait, ...rest }) =>
        considerCommand({
          ...rest,
          version: 2,
          notBefore: now + wait,
          deadline: now + wait + 2 * hour,
          ...(product === undefined ? {} : { product, parameters: { before: 1_980, name: "冬のコート" } })
        })
      )
    },
    { weight: 3, arbitrary: delivery.map((delivery) => ({ _tag: "Sent", delivery, at: now })) },
    { weight: 3, arbitrary: delivery.map((delivery) => ({ _tag: "Refund", delivery })) },
    { weight: 2, arbitrary: delivery.map((delivery) => ({ _tag: "Release", delivery })) },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("Feedback" as const),
        delivery,
        channel,
        kind: fc.constantFrom<FeedbackKind>("opened", "clicked", "bounced", "complained", "unsubscribed"),
        at: fc.constant(now)
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("SetProfile" as const),
        address: fc.constantFrom("a@example.jp", "b@example.jp", null),
        language: fc.constantFrom<"ja" | "en">("ja", "en"),
        timeZone: fc.constantFrom("Asia/Tokyo", "America/New_York"),
        attributes: fc.constantFrom<Attributes>({ city: "東京" }, { city: "大阪", points: 3, vip: true })
      }, { requiredKeys: ["_tag"] })
    },
    { weight: 6, arbitrary: channel.map((channel) => ({ _tag: "SetConsent", channel, consent: true })) },
    { weight: 1, arbitrary: channel.map((channel) => ({ _tag: "SetConsent", channel, consent: false })) },
    { weight: 1, arbitrary: channel.map((channel) => ({ _tag: "Suppress", channel, reason: "manual" })) },
    { weight: 2, arbitrary: channel.map((channel) => ({ _tag: "Unsuppress", channel })) },
    { weight: 1, arbitrary: fc.constant({ _tag: "Withdraw" }) }
  ]
  return fc.oneof(...kinds)
}

/**
 * Commands of one member with their instants, in rounds. A run's name is taken again only while the actor remembers it: runs
 * are never given the same name long after.
 */
export const history = (member: string) =>
  fc.tuple(fc.constantFrom([], [joining]), rounds(member)).map(([before, after]) => [...before, ...after])

/** Most members joined and consented before anything else happened. */
const joining = ([
  { _tag: "SetProfile", address: "a@example.jp", attributes: { city: "東京" } },
  ...channels.map((channel): MemberCommand => ({ _tag: "SetConsent", channel, consent: true }))
] satisfies ReadonlyArray<MemberCommand>).map((command) => [command, at] as const)

const rounds = (member: string) =>
  fc.array(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })
    .chain((rounds) => {
      let now = at
      return fc.tuple(
        ...rounds.map((minutes) =>
          fc.tuple(...minutes.map((wait) => {
            now += wait * 60_000
            const instant = now
            return command(member, instant).map((command) => [command, instant] as const)
          }))
        )
      )
    })

/** A member whose commands are decided in rounds, as their cell would. */
export class MemberHouse {
  private live: Live<Member>
  readonly replies: Array<MemberReply> = []
  constructor(readonly id: string) {
    this.live = { state: unknownMember(id), fence: { version: 0, writer: "", cell: "c", epoch: 0 }, clock: 0 }
  }

  get state(): Member {
    return this.live.state
  }

  /** Decides a round; what it returns is for whoever commits it. */
  round(commands: ReadonlyArray<readonly [MemberCommand, number]>): Unit {
    const builder = new UnitBuilder(kind, this.id, this.live)
    for (const [command, now] of commands) {
      const id = commandIdFrom(at, 0, 0, ids++ / 2 ** 48)
      this.replies.push(builder.decide(command, now, id, "", Number.POSITIVE_INFINITY).reply)
    }
    const { live, unit } = builder.build("w")
    this.live = live
    return unit
  }
}
