/** The shop's configuration: each value with its meaning, unit and default. Read from the environment. */
import { defaultGroup, hotGroup } from "@hikyaku/cluster/actor/Placement"
import type { ShopTerms } from "@hikyaku/domain/marketing/CampaignTerms"
import { CapRule, MessageClass, windowMaxMs } from "@hikyaku/domain/marketing/FrequencyCap"
import { DailyHours } from "@hikyaku/domain/marketing/SendTime"
import { VolumeTerms } from "@hikyaku/domain/marketing/Volume"
import { Config, Duration, Option, Schema } from "effect"

const day = 86_400_000

/** At most so many messages per member where nothing else is configured: 3 a week, 1 a day, in all channels together. */
const capsDefault: ReadonlyArray<CapRule> = [
  { count: 3, windowMs: 7 * day },
  { count: 1, windowMs: day }
]

const Caps = Schema.parseJson(Schema.Array(CapRule))
const Hours = Schema.parseJson(DailyHours)
const HoursByClass = Schema.parseJson(
  Schema.partialWith(Schema.Record({ key: MessageClass, value: DailyHours }), { exact: true })
)
const Volume = Schema.parseJson(VolumeTerms)
const orNull = <A>(config: Config.Config<A>) => Config.map(Config.option(config), Option.getOrNull)

/**
 * `HIKYAKU_TIME_ZONE` (IANA name, default Asia/Tokyo): the shop's days and schedules, and the clock of members of whom none
 * is known. What holds for every campaign beside its own:
 * - `HIKYAKU_CAPS` (JSON: a list of `{count, windowMs, channel?, class?}`): frequency caps.
 * - `HIKYAKU_DELIVERY_HOURS` (JSON by class: `{"realtime": {"from": 480, "to": 1320}}`, minutes of the member's day; default:
 *   all day): outside them nothing of the class leaves. A campaign's own hours take their place.
 * - `HIKYAKU_QUIET_HOURS` (JSON `{from, to}`; default none): when nothing leaves at all.
 * - `HIKYAKU_VOLUME` (JSON `{base, min, max, windowMs, expectedShare}`; default none): volume optimisation.
 * - `HIKYAKU_SENDING_LAG` (default 1 minute): longest time from the start of a provider's request to the sending itself;
 *   a delivery is not started later than so much before its deadline.
 * - `HIKYAKU_CAP_HISTORY` (default 400 days, which is the most): how far back members remember what was sent. A campaign
 *   with a longer window is refused.
 */
export const shopConfig: Config.Config<ShopTerms> = Config.all({
  timeZone: Config.withDefault(Config.nonEmptyString("HIKYAKU_TIME_ZONE"), "Asia/Tokyo"),
  globalCaps: Config.withDefault(Schema.Config("HIKYAKU_CAPS", Caps), capsDefault),
  deliveryHours: Config.withDefault(Schema.Config("HIKYAKU_DELIVERY_HOURS", HoursByClass), {}),
  quietHours: orNull(Schema.Config("HIKYAKU_QUIET_HOURS", Hours)),
  volume: orNull(Schema.Config("HIKYAKU_VOLUME", Volume)),
  lagMs: Config.map(Config.withDefault(Config.duration("HIKYAKU_SENDING_LAG"), Duration.minutes(1)), Duration.toMillis),
  keepMs: Config.map(
    Config.withDefault(Config.duration("HIKYAKU_CAP_HISTORY"), Duration.millis(windowMaxMs)),
    (kept) => Math.min(windowMaxMs, Duration.toMillis(kept))
  )
})

/**
 * `HIKYAKU_STOCK_MEANING`: whether a level of stock that the shop's database states counts what is in carts ("physical",
 * the default) or not ("onHand").
 */
export const stockMeaningConfig: Config.Config<"physical" | "onHand"> = Config.withDefault(
  Config.literal("physical", "onHand")("HIKYAKU_STOCK_MEANING"),
  "physical"
)

/** `DATABASE_URL`: PostgreSQL from 15 on. Without it `start` and `demo` run their own. */
export const databaseConfig = Config.option(Config.redacted("DATABASE_URL"))

/** `HIKYAKU_RUNNER_HOST` and `_PORT`: where other members reach this runner; loopback unless told otherwise. */
export const runnerConfig = Config.all({
  host: Config.withDefault(Config.nonEmptyString("HIKYAKU_RUNNER_HOST"), "127.0.0.1"),
  port: Config.withDefault(Config.port("HIKYAKU_RUNNER_PORT"), 34431)
})

/**
 * `HIKYAKU_SHARD_GROUPS` (default `default,hot`): groups whose shards this runner takes: `hot` alone dedicates it to hot
 * products, `default` alone keeps them away from it. Which groups there are is the same in every process.
 */
export const shardGroupsConfig: Config.Config<ReadonlyArray<string>> = Config.array(
  Config.literal(defaultGroup, hotGroup)(),
  "HIKYAKU_SHARD_GROUPS"
).pipe(
  Config.withDefault([defaultGroup, hotGroup]),
  Config.validate({
    message: `HIKYAKU_SHARD_GROUPS names each of ${defaultGroup} and ${hotGroup} at most once, and at least one`,
    validation: (groups) => groups.length > 0 && new Set(groups).size === groups.length
  })
)

/** `HIKYAKU_PROVIDER_CONCURRENCY` (default 4) and `_RATE` (requests a second, default 200): limits of a new account. */
export const providerLimitsConfig = Config.all({
  concurrency: Config.withDefault(Config.integer("HIKYAKU_PROVIDER_CONCURRENCY"), 4),
  perSecond: Config.withDefault(Config.integer("HIKYAKU_PROVIDER_RATE"), 200)
})
