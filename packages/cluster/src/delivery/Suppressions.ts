/**
 * Addresses to which nothing is sent any more: those that bounced for good, whose owners complained, or that bounced softly
 * too often. A port. Kept by address and channel, whoever the address belongs to: a member who registers another address is
 * reached again. Looked up when a list is made, not when its request was.
 */
import type { Channel } from "@hikyaku/domain/marketing/Event"
import { Config, Context, Duration, Effect, Layer, Schema } from "effect"

/** The store did not answer. Every method can be repeated. */
export class SuppressionFault
  extends Schema.TaggedError<SuppressionFault>()("SuppressionFault", { reason: Schema.String })
{}

export type SuppressionCause = "hard bounce" | "soft bounces" | "complaint" | "operator"

export interface Suppression {
  readonly cause: SuppressionCause
  readonly reason: string
}

/** What somebody says about an address. `key` makes it count once, e.g. the provider's account and event id. */
export interface AddressReport {
  readonly key: string
  readonly channel: Channel
  readonly address: string
  readonly kind: "hard" | "soft" | "complaint"
  readonly reason: string
  /** ms since the epoch. */
  readonly at: number
}

export interface SuppressionSettings {
  /** So many soft bounces within the window suppress an address. */
  readonly softBounces: number
  readonly softWindow: Duration.Duration
}

export const suppressionDefaults: SuppressionSettings = { softBounces: 5, softWindow: Duration.days(30) }

/** `HIKYAKU_SOFT_BOUNCES` (default 5) within `HIKYAKU_SOFT_BOUNCE_WINDOW` (default 30 days). */
export const suppressionConfig: Config.Config<SuppressionSettings> = Config.all({
  softBounces: Config.withDefault(Config.integer("HIKYAKU_SOFT_BOUNCES"), suppressionDefaults.softBounces),
  softWindow: Config.withDefault(Config.duration("HIKYAKU_SOFT_BOUNCE_WINDOW"), suppressionDefaults.softWindow)
})

/** Most addresses in one question, most reports in one call. */
export const addressesMax = 10_000

/** How an address is compared: mail without regard to case, as mailboxes are in practice; ids and tokens as they are. */
export const addressKey = (channel: Channel, address: string): string =>
  channel === "mail" ? address.toLowerCase() : address

export class Suppressions extends Context.Tag("@hikyaku/cluster/delivery/Suppressions")<Suppressions, {
  /** Which of these addresses are suppressed on the channel, and why; keyed as they were asked. */
  readonly suppressed: (
    channel: Channel,
    addresses: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, Suppression>, SuppressionFault>
  /**
   * Takes reports, each once by its key, all or none: hard bounces and complaints suppress at once, soft bounces when there
   * are enough. Answers the keys of the reports that were new and of whose address it is true now that it is suppressed.
   */
  readonly report: (reports: ReadonlyArray<AddressReport>) => Effect.Effect<ReadonlySet<string>, SuppressionFault>
  /** Lifts a suppression and forgets the bounces counted; whether there was one. */
  readonly lift: (channel: Channel, address: string) => Effect.Effect<boolean, SuppressionFault>
}>() {}

/** In this process, for tests and simulations. */
export const layerMemory = (settings: SuppressionSettings = suppressionDefaults): Layer.Layer<Suppressions> =>
  Layer.sync(Suppressions, () => {
    const suppressions = new Map<string, Suppression>()
    const reports = new Map<string, AddressReport>()
    const place = (channel: Channel, address: string) => `${channel}\n${addressKey(channel, address)}`
    const windowMs = Duration.toMillis(settings.softWindow)

    const take = (report: AddressReport): void => {
      const at = place(report.channel, report.address)
      reports.set(report.key, report)
      const known = suppressions.get(at)
      if (report.kind === "complaint") suppressions.set(at, { cause: "complaint", reason: report.reason })
      else if (known !== undefined) return
      else if (report.kind === "hard") suppressions.set(at, { cause: "hard bounce", reason: report.reason })
      else {
        const soft = [...reports.values()].filter((one) =>
          one.kind === "soft" && place(one.channel, one.address) === at && Math.abs(report.at - one.at) < windowMs
        )
        if (soft.length >= settings.softBounces) {
          suppressions.set(at, { cause: "soft bounces", reason: report.reason })
        }
      }
    }

    return Suppressions.of({
      suppressed: (channel, addresses) =>
        Effect.sync(() => {
          const found = new Map<string, Suppression>()
          for (const address of addresses) {
            const suppression = suppressions.get(place(channel, address))
            if (suppression !== undefined) found.set(address, suppression)
          }
          return found
        }),
      report: (given) =>
        Effect.sync(() => {
          const fresh = new Map<string, AddressReport>()
          for (const one of given) if (!reports.has(one.key) && !fresh.has(one.key)) fresh.set(one.key, one)
          for (const one of fresh.values()) take(one)
          return new Set(
            [...fresh.values()].flatMap(({ address, channel, key }) =>
              suppressions.has(place(channel, address)) ? [key] : []
            )
          )
        }),
      lift: (channel, address) =>
        Effect.sync(() => {
          const at = place(channel, address)
          for (const [key, one] of reports) if (place(one.channel, one.address) === at) reports.delete(key)
          return suppressions.delete(at)
        })
    })
  })
