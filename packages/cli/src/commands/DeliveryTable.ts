/** `hikyaku delivery recipients`: tables and views of which requests may take recipients. */
import { Args, Command, Options } from "@effect/cli"
import { Effect, Option } from "effect"
import { connected, connection } from "../Connection.ts"
import { misused } from "../Failure.ts"
import { print } from "../Output.ts"

const column = (name: string, what: string) => Options.text(name).pipe(Options.withDescription(what))

export const recipients = Command.make("recipients", {
  ...connection,
  table: Args.text({ name: "name" }).pipe(Args.withDescription("What systems and requests call it.")),
  relation: Args.text({ name: "relation" }).pipe(
    Args.withDescription("The table or view, with its schema: crm.customers")
  ),
  keyColumn: column("key-column", "Unique and never null; it is read in the order of this column."),
  address: column("address-column", "The mail address.").pipe(Options.optional),
  member: column("member-column", "The member's id, instead of an address.").pipe(Options.optional),
  parameters: column("parameter", "A column that templates may use; give it once for each.").pipe(Options.repeated)
}, (call) =>
  Effect.gen(function*() {
    const dot = call.relation.indexOf(".")
    if (dot <= 0) return yield* misused("Name the relation with its schema, e.g. crm.customers.")
    const answer = yield* connected(call, (hikyaku) =>
      hikyaku.request.registerTable({
        table: call.table,
        schema: call.relation.slice(0, dot),
        relation: call.relation.slice(dot + 1),
        key: call.keyColumn,
        address: Option.getOrUndefined(call.address),
        member: Option.getOrUndefined(call.member),
        parameters: call.parameters
      }))
    yield* print(call, answer, `${answer.table}\n\nNext: hikyaku delivery system SYSTEM --table ${answer.table}`)
  })).pipe(Command.withDescription("Makes a table or view known of which requests may take their recipients."))
