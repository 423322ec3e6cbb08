/** Where the demo stands, on standard error: a bar that is drawn over itself on a terminal, else a line every few seconds. */
import { Clock, Duration, Effect, Schedule } from "effect"
import type { ReplaySource } from "../replay/ReplaySource.ts"
import type { ReplayState } from "./ReplayDriver.ts"

const barEvery = Duration.millis(250)
const lineEvery = Duration.seconds(5)
/** Characters of the bar. */
const barWidth = 24

/** Where the demo speaks: standard error and whether that is a terminal. */
export interface Screen {
  readonly write: (text: string) => void
  readonly isTerminal: boolean
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0)
const thousands = (n: number): string => Math.round(n).toLocaleString("en-US")

/** One line: share of the lines, lines a second, the logical date, carts and messages. */
export const progressLine = (
  progress: { readonly lines: number; readonly of: number; readonly perSecond: number; readonly deliveries: number },
  state: ReplayState,
  width: number
): string => {
  const share = progress.of === 0 ? 1 : Math.min(1, progress.lines / progress.of)
  const filled = Math.round(share * width)
  const bar = width === 0 ? "" : `${"█".repeat(filled)}${"░".repeat(width - filled)} `
  const date = state.instant === 0 ? "opening" : new Date(state.instant).toISOString().slice(0, 16).replace("T", " ")
  return `${bar}${String(Math.round(share * 100)).padStart(3)}%  ${thousands(progress.lines)} lines  ` +
    `${thousands(progress.perSecond)}/s  ${date}  carts ${thousands(sum(state.seen.adds))}  ` +
    `deliveries ${thousands(progress.deliveries)}`
}

/** Shows the progress until interrupted. `deliveries` counts what has been sent so far. */
export const show = <E, R>(
  screen: Screen,
  source: ReplaySource,
  state: ReplayState,
  deliveries: Effect.Effect<number, E, R>
): Effect.Effect<never, E, R> =>
  Effect.gen(function*() {
    let began: { readonly at: number; readonly lines: number } | undefined
    const draw = Effect.gen(function*() {
      const { lines } = yield* source.progress
      const at = yield* Clock.currentTimeMillis
      // Counted from the first step on: openings are events of their own.
      if (state.stretches > 0) began ??= { at, lines }
      const perSecond = began !== undefined && at > began.at ? (lines - began.lines) * 1_000 / (at - began.at) : 0
      const progress = { lines, of: source.lines, perSecond, deliveries: yield* deliveries }
      const line = progressLine(progress, state, screen.isTerminal ? barWidth : 0)
      screen.write(screen.isTerminal ? `\r\u001b[2K${line}` : `${line}\n`)
    })
    yield* Effect.repeat(draw, Schedule.spaced(screen.isTerminal ? barEvery : lineEvery))
    return yield* Effect.never
  }).pipe(Effect.ensuring(Effect.sync(() => screen.isTerminal ? screen.write("\r\u001b[2K") : undefined)))
