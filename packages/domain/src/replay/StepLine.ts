/**
 * One line of NDJSON as a step: either a step as `Step` encodes it, or an event, which is published when it happened. A
 * line with `_tag` is meant as a step. Unknown fields are refused: a misspelt one would be lost silently.
 */
import { Either, ParseResult, Schema } from "effect"
import { Event, eventType, internalTypes } from "../marketing/Event.ts"
import { jsonFaultAt } from "./JsonFault.ts"
import type { ReplayInputFault } from "./ReplayInputError.ts"
import { Step } from "./Step.ts"

/** What is wrong with a line, and where in it. */
export interface StepLineFault {
  readonly fault: ReplayInputFault & ("InvalidJson" | "InvalidStep")
  readonly detail: string
  /** 1-based character. */
  readonly column?: number
  /** Names of fields from the outside in, joined by points. */
  readonly path?: string
}

const decodeStep = Schema.decodeUnknownEither(Step, { onExcessProperty: "error" })
const decodeEvent = Schema.decodeUnknownEither(Event, { onExcessProperty: "error" })

const parse = (line: string): Either.Either<unknown, StepLineFault> =>
  Either.try({
    try: (): unknown => JSON.parse(line),
    catch: (error) => ({
      fault: "InvalidJson",
      detail: error instanceof Error ? error.message : String(error),
      column: jsonFaultAt(line) + 1
    })
  })

const describe = (error: ParseResult.ParseError): StepLineFault => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  const path = issue?.path.map(String).join(".") ?? ""
  return {
    fault: "InvalidStep",
    // The whole of an unexpected value may be long; the place says enough.
    detail: (issue?.message ?? error.message).slice(0, 500),
    ...(path === "" ? {} : { path })
  }
}

/** Decodes one line (without its line break). */
export const decodeStepLine = (line: string): Either.Either<Step, StepLineFault> =>
  Either.gen(function*() {
    const json = yield* parse(line)
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      return yield* Either.left<StepLineFault>({ fault: "InvalidStep", detail: "neither an event nor a step" })
    }
    const step: Step = "_tag" in json
      ? yield* Either.mapLeft(decodeStep(json), describe)
      : yield* Either.map(
        Either.mapLeft(decodeEvent(json), describe),
        (event): Step => ({ _tag: "Publish", at: event.at, event })
      )
    if (step._tag === "Publish" && internalTypes.has(step.event.happening._tag)) {
      return yield* Either.left<StepLineFault>({
        fault: "InvalidStep",
        detail: `${eventType(step.event.happening)} is stated by the shop itself, nobody else`,
        path: "_tag" in json ? "event.happening._tag" : "happening._tag"
      })
    }
    return step
  })

/** Encodes a step as one line, without its line break; `decodeStepLine` gives it back. */
export const encodeStepLine: (step: Step) => string = Schema.encodeSync(Schema.parseJson(Step))
