/**
 * Lists on their way through channels that keep none for us: SMTP, LINE, push, on-site notices. A port. What such a channel
 * cannot remember stands here: that a list may be under way is durable before its first byte goes out, and no mail is handed
 * out a second time for an address (G10), whichever list it came in.
 */
import { Clock, Context, type Duration, Effect, Layer, Schema } from "effect"
import { DeliveryResult, type Recipient, type UploadRequest } from "./Provider.ts"

/** The spool did not answer. Whether it was written is not known; every method can be repeated. */
export class SpoolFault extends Schema.TaggedError<SpoolFault>()("SpoolFault", { reason: Schema.String }) {}

/** A list as it is kept; the same list uploaded again has another `id`. */
export interface SpooledList extends Pick<UploadRequest, "listId" | "channel" | "mailKey" | "recipients"> {
  readonly id: string
}

/** What beginning a list comes to. `taken`: deliveries whose mail another list carries, or carried, to the same address. */
export type Begun =
  | { readonly _tag: "First"; readonly list: SpooledList; readonly taken: ReadonlySet<string> }
  /** It was begun `sinceMs` ago and nobody said what became of it. */
  | {
    readonly _tag: "Again"
    readonly list: SpooledList
    readonly taken: ReadonlySet<string>
    readonly sinceMs: number
  }
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Missing" }

/** Results are null while the list has not ended. */
export type Spooled = { readonly results: ReadonlyArray<DeliveryResult> | null } | null

export const Results = Schema.Array(DeliveryResult)

/** Longest that an ended or abandoned list and its results are kept, and that a mail is known to have reached an address. */
export const listsKept: Duration.DurationInput = "7 days"
export const messagesKept: Duration.DurationInput = "90 days"
/** Rows forgotten in one step. */
export const sweepMax = 5_000

/** The key under which a message counts as the same. */
export const messageKey = (list: SpooledList, recipient: Recipient): readonly [mailKey: string, address: string] => [
  recipient.mailKey ?? list.mailKey,
  list.channel === "mail" ? recipient.address.toLowerCase() : recipient.address
]

export class Spool extends Context.Tag("@hikyaku/cluster/delivery/Spool")<Spool, {
  /** Keeps a list; one that is there already stays as it is. */
  readonly put: (account: string, list: SpooledList) => Effect.Effect<void, SpoolFault>
  /** Notes that a list's messages may go out from now on. */
  readonly begin: (account: string, id: string) => Effect.Effect<Begun, SpoolFault>
  /** Nothing of a list that was begun went out: it is as if it had not been. */
  readonly undo: (account: string, id: string) => Effect.Effect<void, SpoolFault>
  /** A result per message of which it is known; those without one are unknown for good. */
  readonly end: (account: string, id: string, results: ReadonlyArray<DeliveryResult>) => Effect.Effect<void, SpoolFault>
  readonly find: (account: string, id: string) => Effect.Effect<Spooled, SpoolFault>
  /** Forgets what is too old to matter, a bounded part; answers how much that was. */
  readonly sweep: Effect.Effect<number, SpoolFault>
}>() {}

interface Entry {
  readonly list: SpooledList
  begunAt: number | null
  results: ReadonlyArray<DeliveryResult> | null
}

/** In this process, for tests and simulations. Nothing is forgotten. */
export const layerMemory: Layer.Layer<Spool> = Layer.effect(
  Spool,
  Effect.gen(function*() {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const entries = new Map<string, Entry>()
    const carriers = new Map<string, string>()
    const key = (account: string, id: string) => `${account}\n${id}`
    const messages = (account: string, list: SpooledList) =>
      list.recipients.map((recipient) => ({
        delivery: recipient.deliveryId,
        key: [account, ...messageKey(list, recipient)].join("\n")
      }))

    return Spool.of({
      put: (account, list) =>
        Effect.sync(() => {
          const at = key(account, list.id)
          if (!entries.has(at)) entries.set(at, { list, begunAt: null, results: null })
        }),
      begin: (account, id) =>
        Effect.sync((): Begun => {
          const entry = entries.get(key(account, id))
          if (entry === undefined) return { _tag: "Missing" }
          if (entry.results !== null) return { _tag: "Ended" }
          const now = clock.unsafeCurrentTimeMillis()
          const first = entry.begunAt === null
          entry.begunAt ??= now
          const taken = new Set<string>()
          const own = new Set<string>()
          for (const message of messages(account, entry.list)) {
            const carrier = carriers.get(message.key)
            if (own.has(message.key) || (carrier !== undefined && carrier !== id)) taken.add(message.delivery)
            else carriers.set(message.key, id)
            own.add(message.key)
          }
          return first
            ? { _tag: "First", list: entry.list, taken }
            : { _tag: "Again", list: entry.list, taken, sinceMs: now - entry.begunAt }
        }),
      undo: (account, id) =>
        Effect.sync(() => {
          const entry = entries.get(key(account, id))
          if (entry === undefined || entry.results !== null) return
          entry.begunAt = null
          for (const message of messages(account, entry.list)) {
            if (carriers.get(message.key) === id) carriers.delete(message.key)
          }
        }),
      end: (account, id, results) =>
        Effect.sync(() => {
          const entry = entries.get(key(account, id))
          if (entry !== undefined) entry.results ??= results
        }),
      find: (account, id) =>
        Effect.sync(() => {
          const entry = entries.get(key(account, id))
          return entry === undefined ? null : { results: entry.results }
        }),
      sweep: Effect.succeed(0)
    })
  })
)
