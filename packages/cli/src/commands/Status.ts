/** `hikyaku status` and `hikyaku audit`: is it well, what has it done, do the books agree. */
import { Command, Options } from "@effect/cli"
import type { AuditFault } from "@hikyaku/domain/api/AdminApi"
import { Console, Effect } from "effect"
import { connected, connection } from "../Connection.ts"
import { CliFailure, codes, refused } from "../Failure.ts"
import { counts, facts, instant, print, table } from "../Output.ts"

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

/** Faults shown. */
const faultsShown = 50

export const audit = Command.make("audit", {
  ...connection,
  page: Options.integer("page").pipe(
    Options.withDescription("Products of one step; default 5000."),
    Options.withDefault(5_000)
  )
}, (call) =>
  Effect.gen(function*() {
    const faults: Array<AuditFault> = []
    let checked = 0
    yield* connected(call, (hikyaku) =>
      Effect.gen(function*() {
        let after: string | undefined
        while (true) {
          const answer = yield* hikyaku.admin.audit({ after, limit: call.page })
          checked += answer.checked
          faults.push(...answer.faults)
          if (answer.next === null) return
          after = answer.next
          if (!call.json) yield* Console.error(`${checked.toLocaleString("en")} products ...`)
        }
      }))
    const found = faults.slice(0, faultsShown).map((f) => [f.product, f.rule, f.expected, f.found])
    yield* print(
      call,
      { checked, faults },
      faults.length === 0
        ? `The books of ${checked.toLocaleString("en")} products agree.`
        : table(["product", "rule", "expected", "found"], found)
    )
    if (faults.length > 0) return yield* refused(`${faults.length} rules are broken.`)
  })).pipe(Command.withDescription("Checks, from the rows alone, that the books of all products agree."))
