/**
 * A request from a registered system to deliver one mail to many (MAIL-1): its recipients as rows that may be broken, and
 * when it will be through. Pure. The same mail to the same address is one mail, whichever system asks and under which key:
 * `mail` names it across systems.
 */
import { Either, ParseResult, Schema } from "effect"
import { MemberId, Text } from "../Identifier.ts"
import { type Attributes, Attributes as AttributesSchema } from "../marketing/Event.ts"
import { predictMs } from "./Dispatch.ts"
import { dayDelay, MessagePace } from "./MessageRate.ts"

/** `open`: recipients still come in, nothing goes out. `done` follows from its deliveries and is no status of its own. */
export const requestStatuses = ["open", "accepted", "paused", "cancelled"] as const
export const RequestStatus = Schema.Literal(...requestStatuses)
export type RequestStatus = typeof RequestStatus.Type

/** What the store calls a request's "campaign": no campaign's id begins like this. */
export const requestCampaign = (request: string): string => `@${request}`
/** The request of such a campaign; null for a real one. */
export const campaignRequest = (campaign: string): string | null => campaign.startsWith("@") ? campaign.slice(1) : null

const addressPattern = /^[^\s@]+@[^\s@]+$/
const Address = Text(320).pipe(
  Schema.pattern(addressPattern, { message: () => "not an address" })
)

/** One recipient: a member of the shop or an address, and what the template takes for them alone. */
export type Recipient =
  & ({ readonly member: string; readonly address: null } | { readonly member: null; readonly address: string })
  & { readonly parameters: Attributes }

/** Why a row is no recipient. */
export interface RowFault {
  readonly field: string
  readonly reason: string
}

const decodeMember = Schema.decodeUnknownEither(MemberId)
const decodeAddress = Schema.decodeUnknownEither(Address)
const decodeParameters = Schema.decodeUnknownEither(AttributesSchema)

const reasonOf = (error: ParseResult.ParseError): RowFault => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  return {
    field: (issue?.path ?? []).map(String).join("."),
    reason: (issue?.message ?? "cannot be read").slice(0, reasonMax).toWellFormed()
  }
}

/** Longest reason, in characters: an answer must not grow with what was sent. */
const reasonMax = 200

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== ""

/** Most parameters of one recipient. */
export const parametersMax = 50

/** A row as it came: `member` or `address`, and any other columns as parameters. Empty cells count as absent. */
export const recipientOf = (row: Readonly<Record<string, unknown>>): Either.Either<Recipient, RowFault> => {
  const { address, member, ...rest } = row
  if (isGiven(address) === isGiven(member)) {
    const reason = isGiven(address) ? "give a member or an address, not both" : "give a member or an address"
    return Either.left({ field: "address", reason })
  }
  const given = Object.entries(rest).filter(([, value]) => isGiven(value))
  if (given.length > parametersMax) return Either.left({ field: "", reason: `more than ${parametersMax} parameters` })
  const parameters = decodeParameters(Object.fromEntries(given))
  if (Either.isLeft(parameters)) return Either.left(reasonOf(parameters.left))
  if (isGiven(member)) {
    return Either.mapBoth(decodeMember(member), {
      onLeft: (error) => ({ field: "member", reason: reasonOf(error).reason }),
      onRight: (id) => ({ member: id, address: null, parameters: parameters.right })
    })
  }
  return Either.mapBoth(decodeAddress(address), {
    onLeft: () => ({ field: "address", reason: "not an address" }),
    onRight: (text) => ({ member: null, address: text, parameters: parameters.right })
  })
}

const PaceView = Schema.Struct({ requestMs: Schema.Number, perRecipientMs: Schema.Number })
/** How fast an account works off lists, as its dispatcher has learned. */
export const Speed = Schema.Struct({
  upload: PaceView,
  /** From the acceptance of a send until it is completed. */
  sending: PaceView,
  /** Requests at one time. */
  slots: Schema.Number,
  listSize: Schema.Number,
  /** Its limits on messages; absent without any. */
  messages: Schema.optional(MessagePace)
})
export type Speed = typeof Speed.Type

/** What is assumed of an account of which nothing has been seen yet: slow, so that nobody is promised too much. */
export const speedAtFirst: Speed = {
  upload: { requestMs: 500, perRecipientMs: 5 },
  sending: { requestMs: 1_000, perRecipientMs: 1 },
  slots: 1,
  listSize: 1_000
}

/** What decides how long a request takes: the requests that it needs, or how many messages the account takes. */
export const limiting = ["requests", "messages per second", "messages per day"] as const
export type Limiting = typeof limiting[number]

export interface Outlook {
  /** When the last recipient is through, ms since the epoch. */
  readonly finishAt: number
  /** Latest start that keeps the deadline, with the provider to itself. */
  readonly startBy: number
  readonly makesDeadline: boolean
  /** What it mostly waits for. */
  readonly limitedBy: Limiting
}

/** Slot time of a list, ms: its upload, its send, and one question about it. */
const listMs = ({ upload }: Speed, recipients: number): number => predictMs(upload, recipients) + 2 * upload.requestMs

/**
 * When a request is through that may start at `from`, with `ahead` recipients of others before it (MAIL-5, G13): all slots
 * work off lists until the last one is sent, and then that one's messages go out.
 */
export const predictRequest = (
  speed: Speed,
  { ahead, deadline, from, recipients }: {
    readonly recipients: number
    readonly ahead: number
    readonly from: number
    readonly deadline: number
  }
): Outlook => {
  const size = Math.max(1, speed.listSize)
  const slots = Math.max(1, speed.slots)
  const needs = (count: number) => {
    const lists = Math.ceil(count / size)
    const each = listMs(speed, Math.min(count, size))
    return count === 0 ? 0 : Math.max(each, lists * each / slots)
  }
  const pace = speed.messages ?? { perSecond: null, perDay: null, left: 0, leaving: [] }
  const second = (count: number) => pace.perSecond === null ? 0 : count * 1_000 / pace.perSecond
  // The day comes on top: what it allows goes out at the pace of the others, and then nothing until it allows more.
  const all = ahead + recipients
  const [work, rate, day] = [needs(all), second(all), dayDelay(pace, all)]
  const tail = recipients === 0 ? 0 : predictMs(speed.sending, Math.min(recipients, size))
  const finishAt = Math.ceil(from + Math.max(work, rate) + day + tail)
  const alone = dayDelay({ ...pace, left: pace.perDay ?? 0, leaving: [] }, recipients)
  return {
    finishAt,
    startBy: Math.floor(deadline - Math.max(needs(recipients), second(recipients)) - alone - tail),
    makesDeadline: finishAt <= deadline,
    limitedBy: day > Math.max(work, rate) ? "messages per day" : rate > work ? "messages per second" : "requests"
  }
}
