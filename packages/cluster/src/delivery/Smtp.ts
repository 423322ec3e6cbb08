/**
 * Mail over SMTP (RFC 5321) with pooled connections. Sent at most once: SMTP keeps no history and knows no repeats. One
 * message to one recipient is one request, so that each has its own `List-Unsubscribe` and its own answer.
 *
 * The point of no return is the first byte of the content, after the server has taken sender and recipient: right before it
 * `mayStart` is asked. What fails earlier was surely not sent. What fails later is unknown, unless the server refuses the
 * content with a code.
 */
import { Config, Duration, Effect, Layer, Redacted, type Scope } from "effect"
import { Readable } from "node:stream"
import * as Nodemailer from "nodemailer"
import { type Carriage, type Courier, makeProvider } from "./Courier.ts"
import {
  type DeliveryResult,
  Provider,
  type ProviderError,
  ProviderRejected,
  ProviderUnavailable,
  ProviderUnknown,
  type Recipient,
  Throttled,
  TooLateToStart
} from "./Provider.ts"
import type { Spool } from "./Spool.ts"
import { StartRefused } from "./StartGuard.ts"
import { Suppressions } from "./Suppressions.ts"

export interface SmtpConfig {
  readonly host: string
  readonly port: number
  /** `starttls`: no mail goes out before the connection is encrypted; `tls`: from the first byte; `none`: never. */
  readonly security: "starttls" | "tls" | "none"
  /** "" sends no credentials. */
  readonly user: string
  readonly password: Redacted.Redacted
  /** Sender of every mail, e.g. `Shop <news@shop.example>`. */
  readonly from: string
  /** Most connections at one time; the account's limit of requests should not be higher. */
  readonly connections: number
  /** After so many messages a connection is replaced. */
  readonly messagesPerConnection: number
  /** When a message is given up, connecting included. */
  readonly requestTimeout: Duration.Duration
  /** How long the account rests when the server says "later" (4xx), which names no time. */
  readonly retryAfter: Duration.Duration
  /** Certificate authority (PEM) to trust instead of the public ones; "": the public ones. */
  readonly ca: string
}

/** `HIKYAKU_SMTP_HOST`, `_FROM` and the like; all but these two have defaults. */
export const smtpConfig: Config.Config<SmtpConfig> = Config.nested(
  Config.all({
    host: Config.nonEmptyString("HOST"),
    port: Config.withDefault(Config.port("PORT"), 587),
    security: Config.withDefault(Config.literal("starttls", "tls", "none")("SECURITY"), "starttls" as const),
    user: Config.withDefault(Config.string("USER"), ""),
    password: Config.withDefault(Config.redacted("PASSWORD"), Redacted.make("")),
    from: Config.nonEmptyString("FROM"),
    connections: Config.withDefault(Config.integer("CONNECTIONS"), 5),
    messagesPerConnection: Config.withDefault(Config.integer("MESSAGES_PER_CONNECTION"), 100),
    requestTimeout: Config.withDefault(Config.duration("REQUEST_TIMEOUT"), Duration.seconds(30)),
    retryAfter: Config.withDefault(Config.duration("RETRY_AFTER"), Duration.seconds(30)),
    ca: Config.withDefault(Config.string("CA"), "")
  }),
  "HIKYAKU_SMTP"
)

/** Characters of a server's answer that are passed on. */
const reasonMax = 300

interface SmtpFailure {
  readonly code: string
  readonly command: string
  readonly response: number | null
  readonly text: string
}

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

const failureOf = (error: unknown): SmtpFailure => {
  const response = property(error, "responseCode")
  const text = property(error, "response") ?? property(error, "message")
  return {
    code: String(property(error, "code") ?? ""),
    command: String(property(error, "command") ?? ""),
    response: typeof response === "number" ? response : null,
    text: String(text).replaceAll(/\s+/g, " ").slice(0, reasonMax).toWellFormed()
  }
}

/** RFC 3463: the mailbox or its domain does not exist, or the mailbox is disabled. */
const isHard = (text: string): boolean => /\b5\.(1\.(1|2|3|6|10)|2\.1)\b/.test(text)

/** What a failed attempt says: an error, or the message's result. `begun`: whether a byte of the content may have gone out. */
export const judge = (
  failure: SmtpFailure,
  begun: boolean,
  retryAfter: Duration.Duration
): ProviderError | { readonly refused: string; readonly hard: boolean } => {
  const { code, command, response, text } = failure
  if (begun) {
    if (code !== "EMESSAGE" || response === null) return new ProviderUnknown({ reason: text })
    if (response >= 500) return { refused: text, hard: isHard(text) }
    return response >= 400 ? new Throttled({ retryAfter }) : new ProviderUnknown({ reason: text })
  }
  if (response === 421) return new Throttled({ retryAfter })
  if (code === "EENVELOPE" || code === "EMESSAGE") {
    // Without a code it was refused on our side: an address that cannot be written, a message larger than the server takes.
    if (response === null) return { refused: text, hard: false }
    if (response < 500) return new Throttled({ retryAfter })
    if (command === "MAIL FROM") return new ProviderRejected({ reason: text, where: "from" })
    return { refused: text, hard: isHard(text) }
  }
  return new ProviderUnavailable({ reason: `${code} ${text}` })
}

/** One mailbox, without anything that a server could read as more than one, or as a command. Quoted names are not supported. */
const addressPattern = /^[^\s<>()[\]\\,;:"@]+@[^\s<>()\\,;"@]+$/

const envelopeFrom = (from: string): string => /<([^<>]+)>\s*$/.exec(from)?.[1] ?? from.trim()

/** No line of a header may end early. */
const headerText = (text: string): string => text.replaceAll(/[\r\n]+/g, " ")

const mailOf = (config: SmtpConfig, { address, content, deliveryId, parameters, subject }: Recipient) => {
  const link = parameters?.["unsubscribe_url"]
  const html = content?.["html"]
  const text = content?.["text"]
  return {
    from: config.from,
    // As an object: the text of an address is never read as a list of addresses.
    to: { name: "", address },
    envelope: { from: envelopeFrom(config.from), to: [address] },
    subject: headerText(subject ?? ""),
    ...(html !== undefined && { html }),
    ...(text !== undefined && { text }),
    headers: {
      "X-Hikyaku-Delivery": headerText(deliveryId),
      ...(typeof link === "string" && {
        "List-Unsubscribe": `<${headerText(link)}>`,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"
      })
    },
    disableFileAccess: true,
    disableUrlAccess: true
  }
}

/** The same stream, with a look at its first reading: it is read when the server has asked for the content, not before. */
const watched = (content: Readable, onFirst: () => void): Readable =>
  Readable.from(
    (async function*() {
      onFirst()
      yield* content
    })(),
    { objectMode: false }
  )

const courier = (config: SmtpConfig): Effect.Effect<Courier, never, Suppressions | Scope.Scope> =>
  Effect.gen(function*() {
    const suppressions = yield* Suppressions
    const timeoutMs = Duration.toMillis(config.requestTimeout)
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Nodemailer.createTransport({
          pool: true,
          host: config.host,
          port: config.port,
          secure: config.security === "tls",
          requireTLS: config.security === "starttls",
          ignoreTLS: config.security === "none",
          ...(config.user !== "" && { auth: { user: config.user, pass: Redacted.value(config.password) } }),
          ...(config.ca !== "" && { tls: { ca: config.ca } }),
          maxConnections: config.connections,
          maxMessages: config.messagesPerConnection,
          // One call is one attempt: whoever calls decides about the next one.
          maxRequeues: 0,
          connectionTimeout: timeoutMs,
          greetingTimeout: timeoutMs,
          socketTimeout: timeoutMs,
          logger: false
        })
      ),
      (transport) => Effect.sync(() => transport.close())
    )

    // Between the compiled message and the connection: what `watched` returns is what is sent.
    const firstReadings = new WeakMap<AbortSignal, () => void>()
    pool.use("stream", (mail, done) => {
      const { signal } = mail.data
      const onFirst = signal === undefined ? undefined : firstReadings.get(signal)
      if (onFirst !== undefined) mail.message.processFunc((content) => watched(content, onFirst))
      done()
    })

    const attempt = (
      recipient: Recipient,
      mayStart: () => boolean
    ): Effect.Effect<string, ProviderError | { readonly refused: string; readonly hard: boolean }> =>
      Effect.async((resume) => {
        const abort = new AbortController()
        let begun = false
        const timer = setTimeout(() => abort.abort(), timeoutMs)
        firstReadings.set(abort.signal, () => {
          if (!mayStart()) throw new StartRefused()
          begun = true
        })
        const compiled = pool.sendMail({
          ...mailOf(config, recipient),
          signal: abort.signal
        })
        compiled.then(
          (info) => resume(Effect.succeed(info.response)),
          (error: unknown) => {
            if (error instanceof StartRefused) return resume(new TooLateToStart())
            const failure = abort.signal.aborted
              ? { code: "ETIMEDOUT", command: "", response: null, text: `no answer within ${timeoutMs} ms` }
              : failureOf(error)
            const verdict = judge(failure, begun, config.retryAfter)
            resume(Effect.fail(verdict))
          }
        ).finally(() => clearTimeout(timer))
        return Effect.sync(() => abort.abort())
      })

    const carry = ({ list, mayStart }: Carriage): Effect.Effect<ReadonlyArray<DeliveryResult>, ProviderError> =>
      Effect.gen(function*() {
        const [recipient] = list.recipients
        if (recipient === undefined) return []
        const clock = yield* Effect.clock
        const result = (outcome: DeliveryResult["outcome"], reason: string): ReadonlyArray<DeliveryResult> => [
          { deliveryId: recipient.deliveryId, outcome, at: clock.unsafeCurrentTimeMillis(), reason }
        ]
        const outcome = yield* Effect.either(attempt(recipient, mayStart))
        if (outcome._tag === "Right") return result("Sent", outcome.right.slice(0, reasonMax))
        if ("_tag" in outcome.left) return yield* Effect.fail(outcome.left)
        const { hard, refused } = outcome.left
        if (hard) {
          const { address, deliveryId } = recipient
          yield* suppressions.report([
            {
              key: `smtp/${deliveryId}`,
              channel: "mail",
              address,
              kind: "hard",
              reason: refused,
              at: clock.unsafeCurrentTimeMillis()
            }
          ]).pipe(Effect.catchAll((fault) => Effect.logWarning("An address could not be suppressed", fault)))
        }
        return result("Rejected", refused)
      })

    return {
      promises: {
        reconciliation: "at-most-once",
        settleTime: Duration.zero,
        longestProcessingTime: config.requestTimeout,
        // A little later than the attempt itself gives up.
        requestTimeout: Duration.sum(config.requestTimeout, Duration.seconds(1)),
        listSizeMax: 1
      },
      repeatWithin: null,
      accept: (list) => {
        const [recipient] = list.recipients
        if (recipient !== undefined && !addressPattern.test(recipient.address)) {
          return new ProviderRejected({ reason: "not a mail address", where: "recipients[0].address" })
        }
        const content = recipient?.content
        return content?.["html"] === undefined && content?.["text"] === undefined
          ? new ProviderRejected({ reason: "a mail needs html or text", where: "recipients[0].content" })
          : Effect.succeed(list)
      },
      carry
    }
  })

export const layer = (
  account: string,
  config: SmtpConfig
): Layer.Layer<Provider, never, Spool | Suppressions> =>
  Layer.scoped(Provider, Effect.flatMap(courier(config), (smtp) => makeProvider(account, smtp)))

/** The server of the configuration in force (`smtpConfig`). */
export const layerConfig = (account: string) =>
  Layer.unwrapEffect(Effect.map(smtpConfig, (config) => layer(account, config)))
