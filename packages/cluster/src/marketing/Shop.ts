/** What the shop decides for all campaigns and events; configuration, the same in every process. */
import type { ShopTerms } from "@hikyaku/domain/marketing/CampaignTerms"
import { Context } from "effect"

/** The terms that every campaign is subject to, beside its own. */
export class Shop extends Context.Tag("@hikyaku/cluster/Shop")<Shop, ShopTerms>() {}

/** How the shop's own database states stock, and where its days begin. */
export class EventSettings extends Context.Tag("@hikyaku/cluster/EventSettings")<EventSettings, {
  readonly stockMeaning: "physical" | "onHand"
  /** IANA name. */
  readonly timeZone: string
}>() {}
