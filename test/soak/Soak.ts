/**
 * A shop under load for as long as one likes, while everything that it consists of dies, stands still and comes back. In the
 * end its books, its history and every ticket that was acknowledged are judged.
 */
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type History, outcomeTags, replyOf } from "../cluster/History.ts"
import { type Judgement, judgeScene, openScene, startLoad } from "../cluster/Scene.ts"
import { chaos, type ChaosState, chaosState } from "./Chaos.ts"

export interface SoakOptions {
  readonly seed: string
  readonly minutes: number
  readonly runners: number
  readonly gateways: number
  readonly shoppers: number
  /** Takes a line of progress, about once a second. */
  readonly progress: (line: string) => void
}

export interface SoakReport {
  readonly seed: string
  readonly seconds: number
  readonly blows: ChaosState["counts"]
  readonly judgement: Judgement
  readonly answers: number
  /** Longest time without any answer, and the longest that one call waited for its own, ms. */
  readonly stallMs: number
  readonly waitMs: number
}

/** Longest pause of a shopper between two visits, ms: so many shoppers keep two cores busy and no more. */
const pause = 150
/** Visits of a product that is hot before the next one is. */
const hotVisits = 150
/** The books are looked at so often: it reads all rows, and there are many after ten minutes. */
const watchEvery = Duration.seconds(1)

/** What a soak has to have seen before it may end, however slow the machine is: blows in all, the rest for each minute. */
export const enough = { blows: 3, acknowledged: 200, rounds: 15, products: 6 } as const

/** Takes answers in as they come: a history of ten minutes is too long to be read every second. */
class Pulse {
  answers = 0
  /** Tickets whose owner was told an outcome. */
  readonly acknowledged = new Set<string>()
  stallMs = 0
  waitMs = 0
  private next = 0
  private pending: Array<History["attempts"][number]> = []
  private lastMs = performance.now()

  constructor(private readonly history: History) {}

  take(): this {
    const { attempts } = this.history
    this.pending.push(...attempts.slice(this.next))
    this.next = attempts.length
    const answered = this.pending.filter(({ answeredMs }) => answeredMs !== null)
    this.pending = this.pending.filter(({ answeredMs }) => answeredMs === null)
    const heard = answered.filter(({ answer }) => answer?._tag === "Reply").toSorted((a, b) =>
      (a.answeredMs ?? 0) - (b.answeredMs ?? 0)
    )
    for (const attempt of heard) {
      const { answeredMs, call, calledMs } = attempt
      this.answers++
      if (call._tag === "Add" && outcomeTags.has(replyOf(attempt)?._tag ?? "")) this.acknowledged.add(call.ticket)
      this.stallMs = Math.max(this.stallMs, (answeredMs ?? 0) - this.lastMs)
      this.waitMs = Math.max(this.waitMs, (answeredMs ?? 0) - calledMs)
      this.lastMs = answeredMs ?? 0
    }
    return this
  }
}

const clock = (ms: number): string =>
  `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1_000) % 60).padStart(2, "0")}`

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0)

export const soak = (options: SoakOptions) =>
  Effect.gen(function*() {
    const { gateways, minutes, progress, runners, seed, shoppers } = options
    const whole = minutes * 60_000
    progress(`starting ${runners} runners, ${gateways} gateways and a database`)
    const scene = yield* openScene({ runners, gateways }, watchEvery)
    const state = chaosState()
    const load = yield* startLoad(scene, { seed: `soak-${seed}`, shoppers, pause, hotVisits })
    const began = performance.now()
    const pulse = new Pulse(scene.history)
    const show = Effect.sync(() => {
      const { answers, stallMs } = pulse.take()
      const bad = scene.watch.problems.length
      progress(
        `${clock(performance.now() - began)} of ${clock(whole)}  ${answers} answers  ${sum(state.counts)} blows  ` +
          `longest stall ${(stallMs / 1_000).toFixed(1)} s  books looked at ${scene.watch.rounds()} times` +
          `${bad === 0 ? "" : `, ${bad} FAULTS`}  ${state.now}`
      )
    })
    const isOver = () =>
      performance.now() - began >= whole && sum(state.counts) >= enough.blows &&
      pulse.acknowledged.size > enough.acknowledged * minutes && scene.watch.rounds() > enough.rounds * minutes &&
      load.short.size > enough.products * minutes
    yield* chaos(scene, makeSeededRandom(seed), state, isOver).pipe(
      Effect.raceFirst(Effect.zipRight(Effect.repeat(show, Schedule.spaced("1 second")), Effect.never))
    )
    progress("the shoppers end their visits")
    yield* load.stop
    progress("judging")
    const judgement = yield* judgeScene(scene, load.short)
    const { answers, stallMs, waitMs } = pulse.take()
    const report: SoakReport = {
      seed,
      seconds: (performance.now() - began) / 1_000,
      blows: state.counts,
      judgement,
      answers,
      stallMs,
      waitMs
    }
    return report
  })

/** The report as a table for people. */
export const soakTable = (report: SoakReport): string => {
  const { blows, judgement } = report
  const { linear, tally } = judgement
  const unheard = Object.entries(tally).filter(([name]) => name.includes(" error ") || name.endsWith(" silent"))
  const lost = judgement.problems.filter((problem) => problem.startsWith("G2")).length
  const rows: ReadonlyArray<readonly [string, string | number]> = [
    ["seed", report.seed],
    ["seconds", Math.round(report.seconds)],
    ["answers", report.answers],
    ["tickets acknowledged", judgement.acknowledged],
    ["of them lost", lost],
    [
      "products audited",
      `${judgement.audited.products}, ${judgement.audited.lines} lines, ${judgement.audited.faults} faults`
    ],
    ["books looked at", `${judgement.rounds} times while it ran`],
    ["histories linearizable", linear.judged - linear.problems.length],
    ["not linearizable", linear.problems.length],
    ["undecided or too long", linear.undecided.length + linear.tooLong.length],
    ["longest stall", `${Math.round(report.stallMs)} ms without any answer`],
    ["longest wait", `${Math.round(report.waitMs)} ms for one answer`],
    ...Object.entries(blows),
    ...(unheard.length === 0 ? [["errors", "none"] as const] : unheard),
    ["things wrong", judgement.problems.length]
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n")
}
