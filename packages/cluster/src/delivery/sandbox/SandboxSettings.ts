/** What the sandbox announces as its limits, how fast it works and what goes wrong with it. All of it can change while it runs. */
import { Either, ParseResult, Schema } from "effect"

export const operations = ["upload", "send", "status", "history"] as const
/** What a client can ask of the provider. */
export const Operation = Schema.Literal(...operations)
export type Operation = typeof Operation.Type

const perOperation = <A, I>(value: Schema.Schema<A, I>) =>
  Schema.Struct({ upload: value, send: value, status: value, history: value })

const bound = Schema.NullOr(Schema.Int.pipe(Schema.between(1, 1_000_000)))
/** Limits, null for none. */
export const Bounds = Schema.Struct({ total: bound, ...perOperation(bound).fields })
export type Bounds = typeof Bounds.Type
const messagesBound = Schema.NullOr(Schema.Int.pipe(Schema.between(1, 1_000_000_000)))
/** Messages of sends that start within any second and within any 24 hours, null for no limit. */
export const MessageBounds = Schema.Struct({ perSecond: messagesBound, perDay: messagesBound })
export type MessageBounds = typeof MessageBounds.Type
const noMessageBounds: MessageBounds = { perSecond: null, perDay: null }
/** Whether a limit is that of one operation or of all together. */
export const Reach = Schema.Literal("total", ...operations)
export type Reach = typeof Reach.Type

/** Longest time that can be set, so that a slip does not make a test hang for ever: 1 h. */
const ms = Schema.Number.pipe(Schema.between(0, 3_600_000))
const probability = Schema.Number.pipe(Schema.between(0, 1))

export const Latency = Schema.Union(
  Schema.Struct({ _tag: Schema.Literal("Fixed"), ms }),
  Schema.Struct({ _tag: Schema.Literal("Uniform"), minMs: ms, maxMs: ms }),
  /** Skewed like real services: half of the requests take at most the median, none more than the maximum. */
  Schema.Struct({
    _tag: Schema.Literal("LogNormal"),
    medianMs: ms,
    sigma: Schema.Number.pipe(Schema.between(0, 3)),
    maxMs: ms
  })
)
export type Latency = typeof Latency.Type

export const Fault = Schema.Literal("throttle", "fail-before", "fail-after", "cut", "half-open")
/**
 * `throttle`: 429 although no limit is broken. `fail-before`, `fail-after`: 500 without and with the effect. `cut`: the
 * connection is cut after the effect (a lost reply). `half-open`: the effect happened, no answer ever comes.
 */
export type Fault = typeof Fault.Type

const SendDuration = Schema.Struct({ baseMs: ms, perRecipientMs: ms })
const SlowStart = Schema.Struct({ forMs: ms, factor: Schema.Number.pipe(Schema.between(1, 1000)) })
/** Probabilities. */
const Faults = Schema.Struct({
  throttle: probability,
  failBefore: probability,
  failAfter: probability,
  cut: probability,
  halfOpen: probability,
  /** A send is carried out twice, by the provider's own fault. */
  duplicate: probability,
  /** A send whose status stays `Sending`, although its messages go out as the history tells. */
  neverCompletes: probability,
  /** A send that comes to nothing. */
  failSend: probability,
  bounce: probability,
  reject: probability
})

export const SandboxSettings = Schema.Struct({
  /** Every draw follows from this, the number of the request and the purpose: one seed, one run. */
  seed: Schema.Int,
  /** Requests under way at one time. */
  concurrency: Bounds,
  /** Requests that start within any second. */
  perSecond: Bounds,
  /** A send counts with all recipients of its list when it arrives. Records of earlier versions have no such limits. */
  messages: Schema.optionalWith(MessageBounds, { default: () => noMessageBounds }),
  /** What a 429 for concurrency advises; one for rate tells when the window has room. */
  retryAfterMs: ms,
  latency: perOperation(Latency),
  /** Added to an upload's latency for each recipient. */
  uploadPerRecipientMs: ms,
  /** How long a started send takes: the first message leaves after the base, the others in turn. */
  sendDuration: SendDuration,
  /** After a start or a reset latencies are `factor` times as long, falling to one within `forMs`. */
  slowStart: SlowStart,
  faults: Faults,
  /** Which operations the faults of requests (the first five) strike. */
  faultsOn: Schema.Array(Operation),
  /** How many requests they strike from this change of settings on; null for no end. */
  faultsMax: Schema.NullOr(Schema.NonNegativeInt),
  /** Whether a repeated key gets the first answer; real providers do not all have it. */
  idempotency: Schema.Boolean,
  /** How long the history lags behind what was accepted. */
  historyLagMs: ms,
  /** Most recipients in one list. */
  listSizeMax: Schema.Int.pipe(Schema.between(1, 100_000)),
  /** Most recipients remembered; beyond it lists are refused until a reset, since memory is finite. */
  recipientsMax: Schema.Int.pipe(Schema.between(1, 5_000_000))
})
export type SandboxSettings = typeof SandboxSettings.Type

const fixed = (ms: number): Latency => ({ _tag: "Fixed", ms })
const everywhere = (latency: Latency) => ({ upload: latency, send: latency, status: latency, history: latency })
const noBounds: Bounds = { total: null, upload: null, send: null, status: null, history: null }

export const defaultSettings: SandboxSettings = {
  seed: 1,
  concurrency: { ...noBounds, total: 16, upload: 8 },
  perSecond: { ...noBounds, total: 200 },
  messages: noMessageBounds,
  retryAfterMs: 1000,
  latency: everywhere(fixed(40)),
  uploadPerRecipientMs: 0.02,
  sendDuration: { baseMs: 200, perRecipientMs: 0.1 },
  slowStart: { forMs: 0, factor: 1 },
  faults: {
    throttle: 0,
    failBefore: 0,
    failAfter: 0,
    cut: 0,
    halfOpen: 0,
    duplicate: 0,
    neverCompletes: 0,
    failSend: 0,
    bounce: 0,
    reject: 0
  },
  faultsOn: operations,
  faultsMax: null,
  idempotency: true,
  historyLagMs: 0,
  listSizeMax: 10_000,
  recipientsMax: 2_000_000
}

/** A change: what is not named stays; one latency for all operations may be given. */
export const SettingsPatch = Schema.partial(Schema.Struct({
  ...SandboxSettings.fields,
  concurrency: Schema.partial(Bounds),
  perSecond: Schema.partial(Bounds),
  messages: Schema.partial(MessageBounds),
  latency: Schema.Union(Latency, Schema.partial(perOperation(Latency))),
  sendDuration: Schema.partial(SendDuration),
  slowStart: Schema.partial(SlowStart),
  faults: Schema.partial(Faults)
}))
export type SettingsPatch = typeof SettingsPatch.Type

/** `where` names the field. */
export class SettingsRefused extends Schema.TaggedError<SettingsRefused>()("SettingsRefused", {
  reason: Schema.String,
  where: Schema.String
}) {}

const decodePatch = Schema.decodeUnknownEither(SettingsPatch, { onExcessProperty: "error" })

/** A change as it comes from outside. */
export const readPatch = (patch: unknown): Either.Either<SettingsPatch, SettingsRefused> =>
  Either.mapLeft(decodePatch(patch), (error) => {
    const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
    // Of a union the deepest complaint is the one that helps.
    const issue = issues.reduce((deepest, next) => next.path.length > deepest.path.length ? next : deepest, issues[0]!)
    return new SettingsRefused({ reason: issue.message, where: issue.path.join(".") || "settings" })
  })

const merge = <A extends object>(before: A, patch: { readonly [K in keyof A]?: A[K] | undefined } | undefined): A => {
  const after = { ...before }
  for (const name in patch) {
    const value = patch[name]
    if (value !== undefined) after[name] = value
  }
  return after
}

/** The settings after a change. */
export const changeSettings = (settings: SandboxSettings, patch: SettingsPatch): SandboxSettings => {
  const { concurrency, faults, latency, messages, perSecond, sendDuration, slowStart, ...flat } = patch
  return {
    ...merge(settings, flat),
    concurrency: merge(settings.concurrency, concurrency),
    perSecond: merge(settings.perSecond, perSecond),
    messages: merge(settings.messages, messages),
    latency: latency !== undefined && "_tag" in latency ? everywhere(latency) : merge(settings.latency, latency),
    sendDuration: merge(settings.sendDuration, sendDuration),
    slowStart: merge(settings.slowStart, slowStart),
    faults: merge(settings.faults, faults)
  }
}

/** A number in [0, 1) that follows from the seed, the request and the purpose alone (a mixer in the manner of MurmurHash3). */
export const draw = (seed: number, request: number, purpose: number): number => {
  let hash = 0x9e3779b9
  for (const part of [seed, request, purpose]) {
    hash = Math.imul(hash ^ part, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return (hash >>> 0) / 0x1_0000_0000
}

/** Length in ms of one request by the distribution; `a`, `b` in [0, 1). */
export const latencyOf = (latency: Latency, a: number, b: number): number => {
  switch (latency._tag) {
    case "Fixed":
      return latency.ms
    case "Uniform":
      return latency.minMs + a * Math.max(0, latency.maxMs - latency.minMs)
    case "LogNormal": {
      const normal = Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b)
      return Math.min(latency.maxMs, latency.medianMs * Math.exp(latency.sigma * normal))
    }
  }
}
