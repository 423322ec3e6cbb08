/** Ids and text as they are accepted at the edge: bounded, and free of what breaks a store (R2). */
import { Schema } from "effect"

/** Longest id of a product, member, campaign or source, in characters. */
export const idLengthMax = 64

const id = (title: string) =>
  Schema.String.pipe(
    Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, {
      message: () => `${title}: 1 to ${idLengthMax} of A-Z a-z 0-9 . _ : - beginning with a letter or digit`
    }),
    Schema.annotations({ identifier: title })
  )

export const ProductId = id("ProductId")
export type ProductId = typeof ProductId.Type
export const MemberId = id("MemberId")
export type MemberId = typeof MemberId.Type
export const CampaignId = id("CampaignId")
export type CampaignId = typeof CampaignId.Type
/** Where an event comes from; with the event's id it is the key of deduplication. */
export const SourceId = id("SourceId")
export type SourceId = typeof SourceId.Type

const uuidv7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** Who made it chose it: a UUID of version 7 in lower case, whose time bounds how long a repeat is recognised (R3). */
export const CommandId = Schema.String.pipe(
  Schema.pattern(uuidv7, { message: () => "CommandId: a UUID of version 7 in lower case" }),
  Schema.annotations({ identifier: "CommandId" })
)
export type CommandId = typeof CommandId.Type
/** A cart line's id, minted by the shop front; also the id of the command that adds it. */
export const TicketId = CommandId
export type TicketId = typeof TicketId.Type

/** The time inside a UUIDv7, in ms since the epoch. */
export const commandTime = (id: CommandId): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

/** A UUIDv7 from a time and 74 random bits given as two numbers in [0, 1) and one of 12 bits: pure, so that a seed replays. */
export const commandIdFrom = (timeMs: number, randomA: number, randomB: number, randomC: number): CommandId => {
  const time = Math.floor(timeMs).toString(16).padStart(12, "0").slice(-12)
  const a = Math.floor(randomA * 0x1000).toString(16).padStart(3, "0")
  const variant = (8 + Math.floor(randomB * 4)).toString(16)
  const b = Math.floor(((randomB * 4) % 1) * 0x1000).toString(16).padStart(3, "0")
  const c = Math.floor(randomC * 2 ** 48).toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${a}-${variant}${b}-${c}`
}

const unsafeText = (text: string): string | undefined => {
  const nul = text.indexOf("\u0000")
  if (nul >= 0) return `U+0000 at character ${nul}`
  if (!text.isWellFormed()) return "a lone surrogate (half of a character)"
  return undefined
}

/** Text of at most `max` characters that every store and channel can hold: no U+0000, no lone surrogates (R2). */
export const Text = (max: number) =>
  Schema.String.pipe(
    Schema.maxLength(max),
    Schema.filter((text) => unsafeText(text) ?? true, { identifier: `Text(${max})` })
  )

/** ms since the epoch, within the years that a shop can mean (2000 to 2100). */
export const Instant = Schema.Number.pipe(
  Schema.int(),
  Schema.between(946_684_800_000, 4_102_444_800_000),
  Schema.annotations({ identifier: "Instant" })
)
/** Money in the shop's currency, 0 to 10 million. */
export const Price = Schema.Number.pipe(Schema.between(0, 10_000_000), Schema.annotations({ identifier: "Price" }))
/** Pieces in one cart line. */
export const quantityMax = 10_000
export const Quantity = Schema.Int.pipe(Schema.between(1, quantityMax), Schema.annotations({ identifier: "Quantity" }))
