/**
 * How a command ends when it did not do what was asked: one message that says what to do next, and an exit code that a
 * script can tell apart.
 */
import type { RpcClientError } from "@effect/rpc"
import type { CommandError, Unknown, UnknownProduct } from "@hikyaku/domain/api/ApiError"
import { Data } from "effect"

/** Exit codes. */
export const codes = {
  /** The shop said no: sold out, not valid, not allowed, not known. */
  refused: 1,
  /** The command was written wrong; nothing was done. */
  usage: 2,
  /** No server, or none that can answer now. Trying again is safe. */
  unreachable: 3,
  /** The server's own fault. */
  fault: 4
} as const
export type Code = (typeof codes)[keyof typeof codes]

export class CliFailure extends Data.TaggedError("CliFailure")<{ readonly code: Code; readonly message: string }> {}

/** The shop said no. */
export const refused = (message: string): CliFailure => new CliFailure({ code: codes.refused, message })
/** The command cannot be meant like this. */
export const misused = (message: string): CliFailure => new CliFailure({ code: codes.usage, message })

export type CallError = CommandError | Unknown | UnknownProduct | RpcClientError.RpcClientError

const list: Readonly<Record<string, string>> = {
  product: "product define",
  campaign: "campaign list",
  version: "campaign versions",
  run: "campaign runs",
  member: "member join",
  request: "delivery requests",
  import: "event import"
}

/** A failed call, in words for whoever typed it. */
export const explain = (error: CallError, url: string): CliFailure => {
  const failure = (code: Code, ...lines: ReadonlyArray<string>) => new CliFailure({ code, message: lines.join("\n") })
  switch (error._tag) {
    case "RpcClientError":
      return failure(
        codes.unreachable,
        `No server answers at ${url}.`,
        "Start one with `npm start`, or say where it is: --url or HIKYAKU_URL."
      )
    case "BadInput":
      return failure(
        codes.usage,
        error.path === "" ? error.reason : `${error.path}: ${error.reason}`,
        ...(error.hint === undefined ? [] : [error.hint])
      )
    case "UnknownMethod":
      return failure(
        codes.usage,
        `The server does not know ${error.method}: is it of another version than this command?`
      )
    case "UnknownProduct":
      return failure(
        codes.refused,
        `There is no product ${error.product}.`,
        `Define it: hikyaku product define ${error.product} --name "..."`
      )
    case "Unknown": {
      const see = list[error.what]
      return failure(
        codes.refused,
        `There is no ${error.what} ${error.id}.`,
        ...(see === undefined ? [] : [`See: hikyaku ${see}`])
      )
    }
    case "Overloaded":
      return failure(codes.unreachable, `The shop is full; nothing was done. Try again in ${error.retryAfter} ms.`)
    case "NotAnswered":
      return failure(
        codes.unreachable,
        `No answer in time: ${error.reason}.`,
        "The same command with the same ids is safe."
      )
    case "Unavailable":
      return failure(codes.unreachable, error.reason)
    case "ContentDiffers":
      return failure(
        codes.refused,
        `${error.id} was used before with other content; nothing was done.`,
        "Use a new id."
      )
    case "Expired":
      return failure(codes.refused, `${error.id} is too old: ${error.reason}.`, "Use a new id.")
    case "Unauthorized":
      return failure(codes.refused, error.reason)
    case "Fault":
      return failure(codes.fault, error.message, "The server's log has the details.")
  }
}
