/** What a run asks of members by its campaign's definition: whom to page through, and on which terms each is considered. */
import { type CampaignDefinition, debugList } from "./Campaign.ts"
import type { CapRule, MessageClass } from "./FrequencyCap.ts"
import type { Terms } from "./Member.ts"
import { filterText } from "./RuleFilter.ts"
import { resolve, type Segment, type SegmentCause } from "./Segment.ts"
import type { DailyHours } from "./SendTime.ts"
import type { VolumeTerms } from "./Volume.ts"

/** The shop's own settings that every campaign is subject to. */
export interface ShopTerms {
  readonly timeZone: string
  readonly globalCaps: ReadonlyArray<CapRule>
  /** Delivery hours per class; a campaign's own take their place. */
  readonly deliveryHours: Readonly<Partial<Record<MessageClass, DailyHours>>>
  readonly quietHours: DailyHours | null
  readonly volume: VolumeTerms | null
  /**
   * Longest time from the start of a provider's request to the sending itself, ms: a delivery must be started so much before
   * the end of what it occupies (R18). Default 0.
   */
  readonly lagMs?: number
  /** Longest window that a cap or cooldown of any campaign may span, ms: members remember so far back. Default 400 days. */
  readonly keepMs?: number
}

/** The members of a run: the segment without those excluded, with the event's product and member in their places. */
export const audienceOf = (definition: CampaignDefinition, cause: SegmentCause): Segment => {
  const { exclude } = definition
  const without: ReadonlyArray<Segment> = [
    ...(exclude?.members === undefined || exclude.members.length === 0
      ? []
      : [{ _tag: "Members" as const, ids: exclude.members }]),
    ...(exclude?.lists ?? []).map((list) => ({ _tag: "OnList" as const, list })),
    ...(exclude?.segment === undefined ? [] : [exclude.segment])
  ]
  const all: ReadonlyArray<Segment> = [
    definition.segment,
    ...(definition.debugMembersOnly === true ? [{ _tag: "OnList" as const, list: debugList }] : []),
    ...without.map((segment) => ({ _tag: "Not" as const, of: segment }))
  ]
  return resolve(all.length === 1 ? definition.segment : { _tag: "All", of: all }, cause)
}

/** The terms of a campaign's runs. Make them once per run: they are compared and shared by identity. */
export const termsOf = (definition: CampaignDefinition, shop: ShopTerms): Terms => {
  const deliveryHours = definition.deliveryHours ?? shop.deliveryHours[definition.class]
  const quietHours = definition.quietHours ?? shop.quietHours ?? undefined
  return {
    class: definition.class,
    priority: definition.priority,
    channels: definition.channels,
    caps: definition.caps ?? [],
    globalCaps: shop.globalCaps,
    cooldownMs: definition.cooldown?.memberMs ?? 0,
    holdoutShare: definition.holdoutShare ?? 0,
    timePolicy: definition.timePolicy,
    ...(quietHours === undefined ? {} : { quietHours }),
    ...(deliveryHours === undefined ? {} : { deliveryHours }),
    outsideHours: definition.outsideHours ?? "hold",
    timeZone: shop.timeZone,
    // Held deliveries give way to stronger ones: the dispatcher asks their members again before it lets them go.
    displaces: true,
    ...(shop.lagMs === undefined ? {} : { lagMs: shop.lagMs }),
    ...(shop.keepMs === undefined ? {} : { keepMs: shop.keepMs }),
    ...(definition.memberFilter === undefined ? {} : { filter: filterText(definition.memberFilter) }),
    ...(shop.volume === null ? {} : { volume: shop.volume })
  }
}
