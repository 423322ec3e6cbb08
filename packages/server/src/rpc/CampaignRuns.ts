/**
 * One run stopped, gone on with or given up, by its row: its worker moves the cursor of running ones only, and what it had
 * accepted is held back with it, or dropped when its turn comes.
 */
import { SqlClient } from "@effect/sql"
import { Unknown } from "@hikyaku/domain/api/ApiError"
import { Effect, Schema } from "effect"
import { stored } from "./Asking.ts"

export type RunTarget = "running" | "paused" | "cancelled"

/** From which statuses each can be reached. What is over can still be cancelled: its unsent messages are dropped. */
const from: Readonly<Record<RunTarget, ReadonlyArray<string>>> = {
  running: ["paused"],
  paused: ["running"],
  cancelled: ["running", "paused", "finished"]
}

const decode = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ status: Schema.String, changed: Schema.Boolean }))
)

/** Sets a run's status; answers the status it has then, and whether this changed it. */
export const setRun = Effect.map(SqlClient.SqlClient, (sql) => (run: string, to: RunTarget) =>
  stored(
    sql`with moved as (
        update run set status = ${to}, finished_at = case when ${to} = 'cancelled' then shop_now() end
        where id = ${run} and status in ${sql.in(from[to])} returning id
      )
      select case when exists (select from moved) then ${to} else status end as status,
        exists (select from moved) as changed from run where id = ${run}`.pipe(Effect.flatMap(decode))
  ).pipe(
    Effect.flatMap(([row]) => row === undefined ? new Unknown({ what: "run", id: run }) : Effect.succeed(row))
  ))
