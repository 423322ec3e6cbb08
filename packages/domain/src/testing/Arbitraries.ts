/** Arbitraries: from the schemas of the domain, and of ids that are versions 7 of UUIDs with a time that makes sense. */
import { Arbitrary, type Schema } from "effect"
import * as fc from "fast-check"
import { type CommandId, commandIdFrom } from "../Identifier.ts"

/** Values that the schema accepts. */
export const arbitrary = <A, I>(schema: Schema.Schema<A, I>): fc.Arbitrary<A> => Arbitrary.make(schema)

/** Values that the schema accepts, with some fields from arbitraries of one's own, e.g. few ids so that they meet. */
export const withFields = <A extends object, I>(
  schema: Schema.Schema<A, I>,
  fields: { readonly [K in keyof A]?: fc.Arbitrary<A[K]> }
): fc.Arbitrary<A> => {
  const own: Record<string, fc.Arbitrary<unknown>> = {}
  for (const [name, field] of Object.entries<fc.Arbitrary<unknown> | undefined>(fields)) {
    if (field !== undefined) own[name] = field
  }
  return fc.tuple(arbitrary(schema), fc.record(own)).map(([value, replaced]) => ({ ...value, ...replaced }))
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

/** Ids of commands and tickets whose time lies between the two instants (ms since the epoch). */
export const commandIds = (from: number, to: number): fc.Arbitrary<CommandId> =>
  fc.tuple(fc.integer({ min: from, max: to }), fraction, fraction, fraction).map(([time, a, b, c]) =>
    commandIdFrom(time, a, b, c)
  )

/** So many different ids of one instant (ms since the epoch), always the same ones. */
export const commandIdPool = (size: number, at: number): ReadonlyArray<CommandId> =>
  Array.from({ length: size }, (_, index) => commandIdFrom(at, 0, 0, index / 2 ** 48))
