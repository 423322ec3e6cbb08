/** What happens in the shop comes in here: durably, each event once, in order per product or member. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { SourceId } from "../Identifier.ts"
import { Event } from "../marketing/Event.ts"
import { CommonError, Unknown } from "./ApiError.ts"

export { Event }

/** Events of one call. */
export const eventsMax = 1_000
/** Fields of a custom type. */
export const customFieldsMax = 64
/** Custom types of one shop. */
export const customTypesMax = 1_000

/** A custom type's name, without the prefix `custom.` that rules use. */
export const CustomType = Schema.String.pipe(
  Schema.pattern(/^[a-z][a-z0-9_.-]{0,63}$/, {
    message: () => "a custom type: 1 to 64 of a-z 0-9 _ . - beginning with a letter"
  }),
  Schema.annotations({ identifier: "CustomType" })
)
export const CustomFields = Schema.Record({
  key: Schema.String.pipe(
    Schema.pattern(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, { message: () => "a field: letters, digits and _ , at most 64" })
  ),
  value: Schema.Literal("string", "number", "boolean")
}).pipe(
  Schema.filter((fields) => Object.keys(fields).length <= customFieldsMax || `more than ${customFieldsMax} fields`),
  Schema.annotations({ identifier: "CustomFields" })
)

/** What became of one event. `Repeated`: known already. `Differs`: its id was used before with other content; ignored. */
export const Published = Schema.Union(
  Schema.TaggedStruct("Appended", { partition: Schema.Int, offset: Schema.Number }),
  Schema.TaggedStruct("Repeated", {}),
  Schema.TaggedStruct("Differs", {})
).annotations({ identifier: "Published" })
export type Published = typeof Published.Type

/** Events of one import. */
const linesMax = 1_000_000_000

/** How far an import has come. Every event that was taken is appended, repeated or differing (see `Published`). */
export const ImportView = Schema.Struct({
  import: Schema.String,
  /** Events taken; go on with the one that has the number after it. */
  lines: Schema.Int,
  appended: Schema.Int,
  repeated: Schema.Int,
  differing: Schema.Int,
  finished: Schema.Boolean
}).annotations({ identifier: "ImportView" })
export type ImportView = typeof ImportView.Type

export const EventApi = RpcGroup.make(
  /**
   * Appends up to 1,000 events: all or, when one of them is bad input, none. `(source, id)` makes a repeat harmless. Types
   * that only the Product actor may state are refused, and so are custom types that were not registered.
   */
  Rpc.make("event.publish", {
    payload: { events: Schema.NonEmptyArray(Event).pipe(Schema.maxItems(eventsMax)) },
    success: Schema.Array(Published),
    error: CommonError
  }),
  /**
   * Adds to a bulk import, which begins with its first call; the first of these events has the number `firstLine`, from 1.
   * Those that were taken before are passed over, so that a call can be repeated and an import resumed from where it is; a
   * gap is refused. All or, when one of them is bad input, none. The answer comes when they are appended and the log has
   * room for more: whoever waits for it goes no faster than the shop can follow, and holds one call's events at a time.
   */
  Rpc.make("event.import", {
    payload: {
      import: SourceId,
      firstLine: Schema.Int.pipe(Schema.between(1, linesMax)),
      events: Schema.NonEmptyArray(Event).pipe(Schema.maxItems(eventsMax)),
      /** There are no more: the import is finished, and takes nothing further. */
      last: Schema.optional(Schema.Boolean)
    },
    /** `differed`: numbers of events of this call that were ignored, since their id was used before with other content. */
    success: Schema.Struct({ ...ImportView.fields, differed: Schema.Array(Schema.Int) }),
    error: CommonError
  }),
  /** How far an import has come; resume it after `lines`. */
  Rpc.make("event.readImport", {
    payload: { import: SourceId },
    success: ImportView,
    error: Schema.Union(CommonError, Unknown)
  }),
  /** How far an import has come, now and whenever it goes on, until it is finished. */
  Rpc.make("event.watchImport", {
    payload: { import: SourceId },
    success: ImportView,
    error: Schema.Union(CommonError, Unknown),
    stream: true
  }),
  /** Makes a custom type known with the fields of its `data`; fields can be added later, not taken away or retyped. */
  Rpc.make("event.registerCustomType", {
    payload: { type: CustomType, fields: CustomFields },
    success: Schema.Struct({ created: Schema.Boolean, fields: CustomFields }),
    error: CommonError
  }),
  /** The custom types that are known. */
  Rpc.make("event.customTypes", {
    success: Schema.Array(Schema.Struct({ type: CustomType, fields: CustomFields })),
    error: CommonError
  })
)
