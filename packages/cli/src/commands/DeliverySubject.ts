/** What commands about deliveries have in common. */
import { Args, Options } from "@effect/cli"
import type { RequestView } from "@hikyaku/domain/api/RequestApi"
import { Config } from "effect"
import { instant } from "../Output.ts"

export const key = Options.text("key").pipe(
  Options.withDescription("The system's key. Also HIKYAKU_SYSTEM_KEY, which no process list shows."),
  Options.withFallbackConfig(Config.nonEmptyString("HIKYAKU_SYSTEM_KEY"))
)

export const request = Args.text({ name: "request" }).pipe(
  Args.withDescription("The request's id; see hikyaku delivery requests.")
)

/** When it will be through, and whether that is in time. */
export const outlookText = (
  { finishAt, limitedBy, makesDeadline, startBy }: {
    readonly finishAt: number
    readonly makesDeadline: boolean
    readonly startBy: number
    readonly limitedBy?: string | undefined
  }
): string =>
  makesDeadline
    ? instant(finishAt)
    : `${instant(finishAt)}: after the deadline${
      limitedBy === undefined || limitedBy === "requests" ? "" : ` by the account's limit of ${limitedBy}`
    }. What is not sent by then is dropped. It had to start by ${instant(startBy)}`

/** How far the taking of recipients has come. */
export const sourceText = ({ done, fault, kind, rows, table }: NonNullable<RequestView["source"]>): string =>
  [
    table === null ? `a ${kind}` : `${kind} ${table}`,
    done ? "all taken" : `of ${rows.toLocaleString("en")} rows`,
    ...(fault === null ? [] : [`stands still: ${fault}`])
  ].join(", ")
