/** What happens in the shop comes in here: durably, each event once, in order per product or member. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { Event } from "../marketing/Event.ts"
import { CommonError } from "./ApiError.ts"

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
