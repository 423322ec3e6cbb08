/** `hikyaku status`: is it well, what has it done. */
import { Command } from "@effect/cli"
import { Effect } from "effect"
import { connected, connection } from "../Connection.ts"
import { CliFailure, codes } from "../Failure.ts"
import { counts, facts, instant, print } from "../Output.ts"

export const status = Command.make(
  "status",
  connection,
  (call) =>
    connected(call, (hikyaku) => Effect.all({ health: hikyaku.admin.health(), report: hikyaku.admin.report() })).pipe(
      Effect.tap(({ health, report }) =>
        print(
          call,
          { health, report },
          [
            facts([
              ["Hikyaku", `${health.version} at ${call.url}`],
              ["the shop's time", instant(health.now) + (health.logical ? " (a replay owns the clock)" : "")],
              ...health.components.map(({ detail, name, ok }) =>
                [name, `${ok ? "well" : "NOT WELL"}: ${detail}`] as const
              )
            ]),
            facts([
              ["products", report.products],
              ["adds", counts(report.adds)],
              ["tickets", counts(report.tickets)],
              ["oversold", report.oversold],
              ["found missing", report.shortage],
              ["events", counts(report.events)],
              ["members", report.members],
              ["campaigns", counts(report.campaigns)],
              ["runs", counts(report.runs)],
              ["considered", report.considered],
              ["turned down", counts(report.rejected)],
              ["deliveries", counts(report.deliveries)],
              ["by status", counts(report.deliveriesByStatus)],
              ["lists", counts(report.lists)]
            ])
          ].join("\n\n")
        )
      ),
      Effect.filterOrFail(
        ({ health }) => health.ok,
        () =>
          new CliFailure({ code: codes.unreachable, message: "Something that the shop needs is not well; see above." })
      ),
      Effect.asVoid
    )
).pipe(Command.withDescription("Whether the shop is well, and what it has done."))
