/**
 * Links by which a member unsubscribes without logging in (RFC 8058). The token in a link is its own authority: it names
 * member, channel and run, and is signed with a secret that only the shop's processes know, so that nobody can make one for
 * somebody else or learn from one that does not fit.
 */
import { MemberId } from "@hikyaku/domain/Identifier"
import { Channel } from "@hikyaku/domain/marketing/Event"
import { RunId } from "@hikyaku/domain/marketing/Member"
import { Config, Context, Effect, Either, Layer, Option, Redacted, Schema } from "effect"
import { createHmac, timingSafeEqual } from "node:crypto"
import { SharedSecrets } from "./SharedSecrets.ts"

/** What a token stands for. */
export const Unsubscription = Schema.Struct({ member: MemberId, channel: Channel, run: RunId })
export type Unsubscription = typeof Unsubscription.Type

/** The part of a mail's content that holds its link; who sends the mail puts it into `List-Unsubscribe`. */
export const unsubscribePart = "list-unsubscribe"
/** Path of the pages, followed by the token. */
export const unsubscribePath = "/u/"
/** Longest token that is looked at, in characters. */
export const tokenMax = 400

export interface UnsubscribeConfig {
  /** Where the gateway is reached from outside, e.g. `https://shop.example`. Mail programs take one-click links over https. */
  readonly publicUrl: string
  /** The first one signs, all are accepted; none: one that the processes of the cluster share in the store. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
}

/** `HIKYAKU_PUBLIC_URL` (default http://127.0.0.1:4000), `HIKYAKU_UNSUBSCRIBE_SECRETS` (separated by commas; default none). */
export const unsubscribeConfig: Config.Config<UnsubscribeConfig> = Config.all({
  publicUrl: Config.url("HIKYAKU_PUBLIC_URL").pipe(
    Config.map((url) => url.href.replace(/\/+$/, "")),
    Config.withDefault("http://127.0.0.1:4000")
  ),
  secrets: Config.option(Config.redacted("HIKYAKU_UNSUBSCRIBE_SECRETS")).pipe(
    Config.map(Option.match({
      onNone: () => [],
      onSome: (text) =>
        Redacted.value(text).split(",").map((secret) => secret.trim()).filter((secret) => secret !== "").map((secret) =>
          Redacted.make(secret)
        )
    }))
  )
})

export class UnsubscribeLinks extends Context.Tag("@hikyaku/cluster/delivery/UnsubscribeLinks")<UnsubscribeLinks, {
  readonly urlFor: (about: Unsubscription) => string
  /** What a token stands for, or null for whatever was not signed here. */
  readonly read: (token: string) => Unsubscription | null
}>() {}

const fields = Schema.parseJson(Schema.Tuple(MemberId, Channel, RunId))
const decodeFields = Schema.decodeUnknownEither(fields)

const signature = (secret: Redacted.Redacted, payload: string): Buffer =>
  createHmac("sha256", Redacted.value(secret)).update(`hikyaku unsubscribe 1\n${payload}`).digest()

/** `secrets`: at least one; the first one signs. */
export const make = (
  publicUrl: string,
  secrets: readonly [Redacted.Redacted, ...ReadonlyArray<Redacted.Redacted>]
): typeof UnsubscribeLinks.Service => ({
  urlFor: ({ channel, member, run }) => {
    const payload = Buffer.from(JSON.stringify([member, channel, run])).toString("base64url")
    return `${publicUrl}${unsubscribePath}${payload}.${signature(secrets[0], payload).toString("base64url")}`
  },
  read: (token) => {
    const parts = token.length > tokenMax ? null : /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(token)
    if (parts === null) return null
    const [, payload = "", signed = ""] = parts
    const given = Buffer.from(signed, "base64url")
    // Every secret is tried: how long it takes tells nothing about which one fits.
    let valid = false
    for (const secret of secrets) if (timingSafeEqual(signature(secret, payload), given)) valid = true
    if (!valid) return null
    return Either.match(decodeFields(Buffer.from(payload, "base64url").toString("utf8")), {
      onLeft: () => null,
      onRight: ([member, channel, run]) => ({ member, channel, run })
    })
  }
})

/** With the secrets of the configuration, else with the one that the cluster shares. */
export const layerConfig = Layer.effect(
  UnsubscribeLinks,
  Effect.gen(function*() {
    const { publicUrl, secrets: [first, ...others] } = yield* unsubscribeConfig
    const shared = yield* SharedSecrets
    return make(publicUrl, first === undefined ? [yield* shared.get("unsubscribe")] : [first, ...others])
  })
)
