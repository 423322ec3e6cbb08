/** The custom event types that are registered, as this process knows them. The table is the truth; this reads it. */
import { SqlClient } from "@effect/sql"
import type { Unavailable } from "@hikyaku/domain/api/ApiError"
import { type BadInput, badInput } from "@hikyaku/domain/api/BadInput"
import { CustomFields, customFieldsMax, customTypesMax } from "@hikyaku/domain/api/EventApi"
import type { CustomTypes as Known } from "@hikyaku/domain/marketing/RuleScope"
import { Context, Effect, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"

type Fields = typeof CustomFields.Type

export class CustomTypes extends Context.Tag("@hikyaku/server/CustomTypes")<CustomTypes, {
  /** All types with their fields, read anew. */
  readonly all: Effect.Effect<Known, Unavailable>
  /** A type's fields as last read; undefined when it was not there then. */
  readonly known: (type: string) => Fields | undefined
  /** Makes a type known, or adds fields to it. */
  readonly register: (
    type: string,
    fields: Fields
  ) => Effect.Effect<{ readonly created: boolean; readonly fields: Fields }, BadInput | Unavailable>
}>() {}

const Rows = Schema.Array(Schema.Struct({ type: Schema.String, schema: Schema.Struct({ fields: CustomFields }) }))
const decodeRows = Schema.decodeUnknown(Rows)

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  let types: Known = {}

  const all = stored(
    Effect.flatMap(sql`select type, schema from custom_event_type order by type`, decodeRows).pipe(
      Effect.map((rows): Known => Object.fromEntries(rows.map(({ schema, type }) => [type, schema.fields]))),
      Effect.tap((read) =>
        Effect.sync(() => {
          types = read
        })
      )
    )
  )

  const merge = (before: Fields, given: Fields): Fields | BadInput => {
    for (const [name, kind] of Object.entries(given)) {
      const was = Object.hasOwn(before, name) ? before[name] : undefined
      if (was !== undefined && was !== kind) {
        return badInput(`fields.${name}`, `is a ${was} already and cannot become a ${kind}`, "use another name")
      }
    }
    const merged = { ...before, ...given }
    return Object.keys(merged).length > customFieldsMax
      ? badInput("fields", `would be more than ${customFieldsMax} with those there are`)
      : merged
  }

  const register = (type: string, given: Fields) =>
    stored(sql.withTransaction(Effect.gen(function*() {
      // One registration at a time: the number of types and a type's fields are read before they are written.
      yield* sql`select pg_advisory_xact_lock(hashtext('hikyaku.custom_event_type'))`
      const rows = yield* Effect.flatMap(sql`select type, schema from custom_event_type`, decodeRows)
      const before = rows.find((row) => row.type === type)?.schema.fields
      if (before === undefined && rows.length >= customTypesMax) {
        return badInput("type", `there are ${customTypesMax} types already`)
      }
      const fields = merge(before ?? {}, given)
      if (fields instanceof Error) return fields
      const same = before !== undefined && Object.keys(before).length === Object.keys(fields).length
      if (!same) {
        yield* sql`insert into custom_event_type (type, schema) values (${type}, ${JSON.stringify({ fields })}::jsonb)
          on conflict (type) do update set schema = excluded.schema`
      }
      return { created: before === undefined, fields }
    }))).pipe(
      Effect.flatMap((result) => (result instanceof Error ? Effect.fail(result) : Effect.succeed(result))),
      Effect.zipLeft(all)
    )

  return CustomTypes.of({
    all,
    known: (type) => (Object.hasOwn(types, type) ? types[type] : undefined),
    register
  })
})

export const layer: Layer.Layer<CustomTypes, never, SqlClient.SqlClient> = Layer.effect(CustomTypes, make)
