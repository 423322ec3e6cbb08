/**
 * Requests that are ready to start: their slots are granted, their lists say that they begin. The next one starts in the
 * turn in which another is answered, without a round trip to anybody: so the provider's concurrency is used to the full
 * however long the store takes. What is under way is kept within the room that the Provider actor tells (G9); which of
 * those that are ready goes first is decided as each starts (G11, G12).
 */
import { type Candidate, choose, type Credit, type Shares } from "@hikyaku/domain/delivery/Dispatch"
import type { Room } from "@hikyaku/domain/delivery/ProviderCommand"
import { noCounts, type Operation, operations } from "@hikyaku/domain/delivery/RateLimit"
import { Clock, Duration, Effect, FiberSet } from "effect"
import type { Work } from "./ListRequests.ts"
import type { Ending } from "./SlotDesk.ts"

/** So many requests in a row that could not reach the provider stop all others; then one at a time tries again. */
const breakerAfter = 5
/** How long nothing is tried, ms: at first, and at the most; doubled in between. */
const breakerFirstMs = 500
export const breakerMaxMs = 15_000

export interface Ready {
  readonly work: Work
  readonly candidate: Candidate
  /** Instant of `Clock.currentTimeNanos` from which on a deadline in the list forbids the start; null for none. */
  readonly deadline: bigint | null
  /** The slot, and until when it allows the start; null while another one is asked for. */
  slot: { readonly id: string; readonly startBefore: bigint } | null
}

/** Until when a request may start; 0 without a slot. */
const startBefore = ({ deadline, slot }: Ready): bigint =>
  slot === null ? 0n : deadline !== null && deadline < slot.startBefore ? deadline : slot.startBefore

export interface StartingLine {
  readonly add: (ready: Ready) => void
  readonly get: (list: string) => Ready | undefined
  readonly remove: (list: string) => void
  readonly all: () => ReadonlyArray<Ready>
  /** Starts whatever is ready and has a place, the most urgent first. */
  readonly launch: Effect.Effect<void>
  /** Starts nothing more; answers what was ready and waits no longer. */
  readonly close: Effect.Effect<ReadonlyArray<Ready>>
  /** Waits until nothing is under way. */
  readonly ended: Effect.Effect<void>
}

/** A request as it is started: `over` is to be told, as soon as it is known, how the request ended for its place. */
export type Perform = (
  work: Work,
  startBefore: bigint,
  over: (ending: Ending) => Effect.Effect<void>
) => Effect.Effect<Ending>

/**
 * `finished` is told how a request ended for its slot, once its outcome is on record; `isLast`: see `DispatchInput.lastUploads`.
 */
export const makeStartingLine = (
  shares: Shares,
  room: () => Room,
  perform: Perform,
  finished: (ready: Ready, slot: string, ending: Ending) => Effect.Effect<void>,
  isLast: () => boolean = () => false
) =>
  Effect.gen(function*() {
    const requests = yield* FiberSet.make<void>()
    // Places whose requests got no answer: the provider may still be busy with them.
    const doubts = yield* FiberSet.make<void>()
    const clock = yield* Clock.clockWith(Effect.succeed)
    const line = new Map<string, Ready>()
    const underWay = { ...noCounts }
    /** Real time before which the provider has asked not to be sent more, ms. */
    const quietUntil = { ...noCounts }
    let credit: Credit = noCounts
    let closed = false
    /** Requests in a row that could not reach the provider, how often that was too many, and until when nothing is tried. */
    let misses = 0
    let trips = 0
    let brokenUntil = 0

    /** The room, without the operations that the provider wants to rest: the Provider actor may not know of it yet. */
    const open = (): Room => {
      const now = clock.unsafeCurrentTimeMillis()
      if (misses >= breakerAfter) {
        const places = now < brokenUntil ? 0 : 1
        return { ...room(), total: Math.min(places, room().total ?? places) }
      }
      const quiet = operations.filter((operation) => quietUntil[operation] > now)
      return quiet.reduce((left, operation) => ({ ...left, [operation]: 0 }), room())
    }

    const leave = (operation: Operation, ending: Ending): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (ending.unreachable === true) {
          misses++
          if (misses >= breakerAfter) {
            brokenUntil = clock.unsafeCurrentTimeMillis() +
              Math.min(breakerMaxMs, breakerFirstMs * 2 ** Math.min(trips++, 20))
          }
        } else if (ending.started) {
          misses = 0
          trips = 0
        }
        if (ending.throttledForMs !== null) {
          quietUntil[operation] = Math.max(
            quietUntil[operation],
            clock.unsafeCurrentTimeMillis() + ending.throttledForMs
          )
        }
        const free = Effect.suspend(() => {
          underWay[operation]--
          return launch
        })
        return ending.busyForMs === 0
          ? free
          : Effect.asVoid(FiberSet.run(doubts, Effect.delay(free, Duration.millis(ending.busyForMs))))
      })

    const start = (ready: Ready, slot: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { operation } = ready.work
        let gone = false
        const over = (ending: Ending) =>
          Effect.suspend(() => {
            if (gone) return Effect.void
            gone = true
            return leave(operation, ending)
          })
        return perform(ready.work, startBefore(ready), over).pipe(
          Effect.tap(over),
          Effect.flatMap((ending) => finished(ready, slot, ending))
        )
      })

    const launch: Effect.Effect<void> = Effect.suspend(() => {
      const now = clock.unsafeCurrentTimeNanos()
      const able = [...line.values()].filter((ready) => startBefore(ready) > now)
      if (able.length === 0 || closed) return Effect.void
      const choice = choose({
        // Whether they may start still is in `startBefore`, on the clock of this process.
        candidates: able.map((ready) => ({ ...ready.candidate, deadline: null })),
        inFlight: underWay,
        concurrency: open(),
        shares,
        credit,
        now: 0,
        lastUploads: isLast()
      })
      credit = choice.credit
      return Effect.forEach(choice.start, ({ id }) => {
        const ready = line.get(id)
        if (ready === undefined || ready.slot === null) return Effect.void
        line.delete(id)
        underWay[ready.work.operation]++
        return Effect.asVoid(FiberSet.run(requests, start(ready, ready.slot.id)))
      }, { discard: true })
    })

    const startingLine: StartingLine = {
      add: (ready) => line.set(ready.work.list.id, ready),
      get: (list) => line.get(list),
      remove: (list) => line.delete(list),
      all: () => [...line.values()],
      launch,
      close: Effect.sync(() => {
        closed = true
        const ready = [...line.values()]
        line.clear()
        return ready
      }),
      ended: FiberSet.awaitEmpty(requests)
    }
    return startingLine
  })
