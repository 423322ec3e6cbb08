/** How large and how busy a generated shop is. Every size is bounded: what is kept grows with products and members. */
import { Schema } from "effect"
import { Instant, Text } from "../Identifier.ts"

const count = (max: number, preset: number) =>
  Schema.optionalWith(Schema.Int.pipe(Schema.between(0, max)), { default: () => preset })
const some = (max: number, preset: number) =>
  Schema.optionalWith(Schema.Int.pipe(Schema.between(1, max)), { default: () => preset })

export const GeneratedShopOptions = Schema.Struct({
  /** Same seed and sizes, same shop, step by step. */
  seed: Schema.optionalWith(Text(200), { default: () => "hikyaku" }),
  products: some(100_000, 300),
  members: some(1_000_000, 2_000),
  days: some(366, 7),
  /** Visits a day; each views a few products, some add to the cart, most of those check out. */
  sessionsPerDay: count(1_000_000, 1_200),
  /** Popularity of the product of rank r is 1 / r ^ exponent. */
  zipfExponent: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 3)), { default: () => 1 }),
  /** Rushes a day: many members add the same popular product within three minutes. */
  burstsPerDay: count(48, 2),
  addsPerBurst: count(100_000, 150),
  /** Products whose price falls by 15 to 40% each morning; three days later it is what it was. */
  priceDropsPerDay: count(1_000, 3),
  /** Products restocked each noon, of those that had more added to carts than they had. */
  restocksPerDay: count(1_000, 4),
  /** Midnight (Japan) of the first day, ms since the epoch. */
  start: Schema.optionalWith(Instant, { default: () => Date.UTC(2026, 0, 4, 15) })
})
export type GeneratedShopOptions = typeof GeneratedShopOptions.Type
export type GeneratedShopInput = typeof GeneratedShopOptions.Encoded
