/**
 * `hikyaku audit`: do the books agree, from the rows alone. Goes page by page and says where it is, so that one that was
 * broken off goes on with `--after`.
 */
import { Command, Options } from "@effect/cli"
import type { AuditFault } from "@hikyaku/domain/api/AdminApi"
import { Console, Effect, Option, Ref } from "effect"
import { connected, connection } from "../Connection.ts"
import { refused } from "../Failure.ts"
import { print, table } from "../Output.ts"

/** Faults shown. */
const faultsShown = 50

/** How far an audit has come. */
interface Progress {
  readonly after: string | undefined
  readonly checked: number
  readonly lines: number
  readonly faults: ReadonlyArray<AuditFault>
}

const said = ({ checked, lines }: Progress): string =>
  `${checked.toLocaleString("en")} products, ${lines.toLocaleString("en")} cart lines`

export const audit = Command.make("audit", {
  ...connection,
  page: Options.integer("page").pipe(
    Options.withDescription("Products of one step at most; default 5000."),
    Options.withDefault(5_000)
  ),
  after: Options.text("after").pipe(
    Options.withDescription("Go on after this product, where an earlier audit was broken off."),
    Options.optional
  )
}, (call) =>
  Effect.gen(function*() {
    const progress = yield* Ref.make<Progress>({
      after: Option.getOrUndefined(call.after),
      checked: 0,
      lines: 0,
      faults: []
    })
    yield* connected(call, (hikyaku) =>
      Effect.gen(function*() {
        while (true) {
          const { after } = yield* Ref.get(progress)
          const answer = yield* hikyaku.admin.audit({ after, limit: call.page })
          const now = yield* Ref.updateAndGet(progress, (before) => ({
            after: answer.next ?? undefined,
            checked: before.checked + answer.checked,
            lines: before.lines + answer.lines,
            faults: [...before.faults, ...answer.faults]
          }))
          if (answer.next === null) return
          if (!call.json) yield* Console.error(`${said(now)} ...`)
        }
      })).pipe(
        Effect.onError(() =>
          Effect.flatMap(Ref.get(progress), ({ after, checked }) =>
            checked === 0 ? Effect.void : Console.error(`Broken off; go on with: hikyaku audit --after ${after}`))
        )
      )
    const done = yield* Ref.get(progress)
    const { checked, faults, lines } = done
    const found = faults.slice(0, faultsShown).map((f) => [f.product, f.rule, f.expected, f.found])
    yield* print(
      call,
      { checked, lines, faults },
      faults.length === 0
        ? `The books of ${said(done)} agree.`
        : table(["product", "rule", "expected", "found"], found)
    )
    if (faults.length > 0) {
      return yield* refused(`${faults.length} rules are broken.`)
    }
  })).pipe(Command.withDescription("Checks, from the rows alone, that the books of all products agree."))
