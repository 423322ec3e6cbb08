/**
 * Links by which a member unsubscribes without logging in: each names member, channel and delivery, and is signed, so that
 * nobody can make one for somebody else. They never expire: an old mail must still get its reader out. The page behind them
 * is the gateway's, at `/u/TOKEN`; what it does is publish the delivery's feedback `unsubscribed`. Mails that a registered
 * system asked for name the address and the system instead of a member: there may be none.
 */
import { SqlClient } from "@effect/sql"
import { channels } from "@hikyaku/domain/marketing/Channel"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import { Config, ConfigError, Context, Effect, Either, Layer, Redacted } from "effect"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import type { SystemUnsubscription } from "../delivery/Unsubscribed.ts"

/** Who unsubscribes from what, and the delivery that carried the link. */
export interface MemberUnsubscription {
  readonly member: string
  readonly channel: Channel
  readonly delivery: string
}
export type Unsubscription = MemberUnsubscription | SystemUnsubscription

/** `Malformed`: no token at all; `Forged`: not signed by a key that is known here. */
export type TokenFault = "Malformed" | "Forged"

export class UnsubscribeLinks extends Context.Tag("@hikyaku/cluster/UnsubscribeLinks")<UnsubscribeLinks, {
  readonly url: (unsubscription: Unsubscription) => string
  /** What a token says; anybody may have written it, so nothing of a forged one is returned. */
  readonly read: (token: string) => Either.Either<Unsubscription, TokenFault>
}>() {}

/** Shortest key, characters, and longest token that is looked at. */
export const keyLengthMin = 32
const tokenLengthMax = 3_072
/** Format of tokens: what a later version writes is not mistaken for this one. */
const format = "1"

const macOf = (key: Redacted.Redacted, payload: string): Buffer =>
  createHmac("sha256", Redacted.value(key)).update(`unsubscribe.${format}.${payload}`).digest()

const decoded = (payload: string): Unsubscription | null => {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"))
    if (!Array.isArray(value)) return null
    const [who, channelName, delivery, system]: ReadonlyArray<unknown> = value
    const channel = channels.find((each) => each === channelName)
    if (typeof who !== "string" || typeof delivery !== "string" || channel === undefined) return null
    if (value.length === 3) return { member: who, channel, delivery }
    return value.length === 4 && typeof system === "string" ? { address: who, channel, delivery, system } : null
  } catch {
    return null
  }
}

/** `keys`: the first one signs, each of them is accepted, so that keys can be changed. `base`: where the page is served. */
export const make = (
  keys: readonly [Redacted.Redacted, ...ReadonlyArray<Redacted.Redacted>],
  base: string
): Context.Tag.Service<UnsubscribeLinks> => {
  const root = base.replace(/\/+$/, "")
  return {
    url: (of) => {
      const parts = "member" in of
        ? [of.member, of.channel, of.delivery]
        : [of.address, of.channel, of.delivery, of.system]
      const payload = Buffer.from(JSON.stringify(parts)).toString("base64url")
      return `${root}/u/${format}.${payload}.${macOf(keys[0], payload).toString("base64url")}`
    },
    read: (token) => {
      if (token.length > tokenLengthMax) return Either.left("Malformed")
      const [version, payload, signature, ...more] = token.split(".")
      if (version !== format || payload === undefined || signature === undefined || more.length > 0) {
        return Either.left("Malformed")
      }
      const given = Buffer.from(signature, "base64url")
      const genuine = keys.some((key) => {
        const mac = macOf(key, payload)
        return mac.length === given.length && timingSafeEqual(mac, given)
      })
      if (!genuine) return Either.left("Forged")
      const unsubscription = decoded(payload)
      return unsubscription === null ? Either.left("Malformed") : Either.right(unsubscription)
    }
  }
}

export const layer = (
  keys: readonly [Redacted.Redacted, ...ReadonlyArray<Redacted.Redacted>],
  base: string
): Layer.Layer<UnsubscribeLinks> => Layer.succeed(UnsubscribeLinks, make(keys, base))

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"])

/**
 * `HIKYAKU_UNSUBSCRIBE_KEY` (secret, at least 32 characters; several separated by commas: the first signs) and
 * `HIKYAKU_PUBLIC_URL` (where members reach the gateway; default http://127.0.0.1:4000). Neither has a default that mails to
 * real people could go out with: unless the provider is on this machine, a key must be given. For the sandbox a key is made
 * once and kept in the database, where every process of this shop finds it.
 */
export const linksConfig = Config.all({
  keys: Config.option(Config.array(Config.redacted(), "HIKYAKU_UNSUBSCRIBE_KEY")),
  base: Config.withDefault(Config.url("HIKYAKU_PUBLIC_URL"), new URL("http://127.0.0.1:4000")),
  provider: Config.option(Config.url("HIKYAKU_PROVIDER_URL"))
})

const sandboxKey = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`insert into sandbox_secret (name, value) values ('unsubscribe', ${randomBytes(32).toString("base64url")})
    on conflict (name) do nothing`
  const [row] = yield* sql<{ readonly value: string }>`select value from sandbox_secret where name = 'unsubscribe'`
  return Redacted.make(row?.value ?? "")
})

/** The keys and the base that are configured; no keys where the sandbox's will do. Fails where mails must not go out without. */
export const configured = Effect.gen(function*() {
  const { base, keys, provider } = yield* linksConfig
  const given = keys._tag === "Some" ? keys.value : []
  if (given.some((key) => Redacted.value(key).length < keyLengthMin)) {
    return yield* Effect.fail(ConfigError.InvalidData(
      ["HIKYAKU_UNSUBSCRIBE_KEY"],
      `a key must have at least ${keyLengthMin} characters`
    ))
  }
  if (given.length === 0 && provider._tag === "Some" && !loopback.has(provider.value.hostname)) {
    return yield* Effect.fail(ConfigError.MissingData(
      ["HIKYAKU_UNSUBSCRIBE_KEY"],
      "mails carry links by which members unsubscribe: set a secret of at least 32 characters, the same for every process"
    ))
  }
  return { keys: given, base: base.href }
})

export const layerConfig = Layer.effect(
  UnsubscribeLinks,
  Effect.gen(function*() {
    const { base, keys: [first, ...others] } = yield* configured
    return make([first ?? (yield* sandboxKey), ...others], base)
  })
)
