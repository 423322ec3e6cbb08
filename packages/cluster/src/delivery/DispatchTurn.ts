/**
 * One turn of a dispatcher: looks at what there is to do, lets `Dispatch` choose, gets slots for the choice, notes in the
 * store what is about to start, and starts it. Between any two of these steps a crash leaves nothing worse than a slot that
 * lapses or a list in doubt.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import {
  type Candidate,
  choose,
  type Credit,
  type DispatchInput,
  type Group,
  latestStart,
  learnPace,
  listNext,
  type Pace,
  settle,
  type Shares
} from "@hikyaku/domain/delivery/Dispatch"
import { listStep, slotOf } from "@hikyaku/domain/delivery/List"
import { freeSlots, noCounts, type Operation } from "@hikyaku/domain/delivery/RateLimit"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { Clock, Duration, Effect, FiberSet, Queue } from "effect"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore, type DueGroup, expiriesMax, type OpenList, type StoreFault } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import type { ListContents } from "./ListContent.ts"
import type { ListRequests, Work } from "./ListRequests.ts"
import { Provider } from "./Provider.ts"
import { type Ask, type DeskError, freshId, neverStarted, type SlotDesk } from "./SlotDesk.ts"

/** Lists of at most so many recipients are rendered within the turn: it is quicker than coming back for them. */
const inlineMax = 100
/** How many lists are rendered at a time beside the turns. */
const renderingMax = 2
/** How often due deliveries past their deadline are looked for, ms. */
const expiryMs = 100
/** How long a group rests of which nothing can be listed, ms. */
const groupRestMs = 500
/** What requests take before any was seen, ms. */
const paceAtFirst: Pace = { requestMs: 200, perRecipientMs: 0.05 }
/** How often an idle dispatcher makes itself known to the Provider actor, ms; well below the silence that deposes it. */
const signOfLifeMs = 4_000
/** Added to a request's longest time when its slot is asked for, ms: for the clocks of both sides. */
const slackMs = 250

/** An order's own messages go with realtime, ahead of batch. */
export const laneOf = (cls: MessageClass): DeliveryClass => cls === "batch" ? "batch" : "realtime"

const groupId = (group: DueGroup): string => `${group.class}/${group.campaign}/${group.version}/${group.channel}`

export interface Turns {
  /** One turn; answers after how many ms the next one makes sense if nothing happens. */
  readonly turn: Effect.Effect<number, DeskError | StoreFault>
  /** Lists with a request under way. */
  readonly busy: () => ReadonlyArray<string>
}

export const makeTurns = (
  settings: DispatcherSettings,
  desk: SlotDesk<Work>,
  requests: ListRequests,
  contents: ListContents,
  wake: Queue.Enqueue<void>
) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const clock = yield* ShopClock
    const newId = Effect.provideService(freshId, ShopClock, clock)
    const { promises } = yield* Provider
    const underWay = yield* FiberSet.make<void>()
    const rendering = yield* Effect.makeSemaphore(renderingMax)
    const busy = new Set<string>()
    const shares: Shares = { batch: settings.batchShare, ageMs: settings.ageMs }
    const listSize = Math.min(settings.listSize, promises.listSizeMax)
    const endsWithinMs = Duration.toMillis(promises.requestTimeout) +
      Duration.toMillis(promises.longestProcessingTime) +
      slackMs
    /** Groups of which nothing could be listed, and until when they rest, ms of real time. */
    const resting = new Map<string, number>()
    let making = false
    let credit: Credit = noCounts
    let pace = paceAtFirst
    let asked = 0
    let expireAt = 0
    /** Real time before which asking for slots again is of no use, and by which the actor has to hear from here. */
    let askAt = 0
    let signAt = 0

    // A stopping dispatcher lets its requests end: answers that are on record need not be reconciled.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        yield* FiberSet.awaitEmpty(underWay).pipe(
          Effect.interruptible,
          Effect.timeoutOption(Duration.millis(settings.drainMs))
        )
        yield* desk.flush.pipe(Effect.interruptible, Effect.timeout(Duration.seconds(1)), Effect.ignore)
      })
    )

    /** Starts a request whose slot is granted and whose list says so; gives the slot back when the outcome is on record. */
    const start = (work: Work, slot: string, startBefore: bigint) =>
      Effect.gen(function*() {
        const from = yield* Clock.currentTimeMillis
        const ending = yield* requests.perform(work, startBefore).pipe(
          // A fault of the program: the claim of lists that are not busy puts it right.
          Effect.catchAllDefect((defect) =>
            Effect.as(Effect.logError("A request's outcome is lost by a fault", defect), {
              started: true,
              busyForMs: endsWithinMs,
              throttledForMs: null
            })
          )
        )
        if (work.operation === "upload" && ending.started && ending.busyForMs === 0 && ending.throttledForMs === null) {
          pace = learnPace(pace, work.list.recipients, (yield* Clock.currentTimeMillis) - from)
        }
        desk.ended(slot, ending)
        busy.delete(work.list.id)
        yield* Queue.offer(wake, undefined)
      })

    /** Which groups become lists, one list for each time a group is named. */
    const plan = (
      due: ReadonlyArray<DueGroup>,
      lists: ReadonlyArray<OpenList>,
      wall: number
    ): ReadonlyArray<DueGroup> => {
      for (const [id, until] of resting) if (until <= wall) resting.delete(id)
      const byId = new Map(due.map((group) => [groupId(group), group]))
      for (const id of resting.keys()) byId.delete(id)
      const slots = desk.limits().concurrency
      const queued = { realtime: 0, batch: 0 }
      for (const list of lists) if (list.state.status === "queued") queued[laneOf(list.class)]++
      const candidates = [...byId].map(([id, group]): Group => ({
        id,
        class: laneOf(group.class),
        latestStart: latestStart(
          group.deadline,
          group.full ? listSize : 1,
          pace,
          listSize,
          slots.upload ?? slots.total ?? 1
        ),
        since: group.since,
        priority: group.priority,
        full: group.full
      }))
      const free = freeSlots(slots, desk.underWay(), "upload")
      return listNext(candidates, queued, free, settings.ahead, shares).flatMap((chosen) => byId.get(chosen.id) ?? [])
    }

    const makeLists = (groups: ReadonlyArray<DueGroup>, wall: number) =>
      Effect.gen(function*() {
        const made: Array<OpenList> = []
        const usedUp = new Set<string>()
        for (const group of groups) {
          const id = groupId(group)
          if (usedUp.has(id)) continue
          const { campaign, channel, class: cls, version } = group
          const key = { campaign, channel, class: cls, version }
          const listId = `l-${yield* newId}`
          const { deliveries, list, refused } = yield* store.makeList(desk.ownership, listId, key, listSize)
          if (list === null) {
            usedUp.add(id)
            // Nothing to list and nothing to close: all of it waits for something else, such as a paused run.
            if (refused === 0) resting.set(id, wall + groupRestMs)
            continue
          }
          made.push(list)
          const prepare = contents.prepare(list, deliveries)
          if (deliveries.length <= inlineMax) yield* prepare
          else yield* prepareBeside(prepare)
        }
        return made
      })
    /** Makes lists for later turns while this one goes on; one such at a time. */
    const makeBeside = (groups: ReadonlyArray<DueGroup>, wall: number) =>
      Effect.suspend(() => {
        if (groups.length === 0 || making) return Effect.void
        making = true
        return Effect.asVoid(FiberSet.run(
          underWay,
          makeLists(groups, wall).pipe(
            Effect.catchAll((fault) => Effect.logWarning("Lists could not be made; it will be tried again", fault)),
            Effect.ensuring(Effect.sync(() => {
              making = false
            })),
            Effect.zipRight(Effect.asVoid(Queue.offer(wake, undefined)))
          )
        ))
      })
    const prepareBeside = (prepare: Effect.Effect<void>) =>
      FiberSet.run(
        underWay,
        rendering.withPermits(1)(prepare).pipe(Effect.zipRight(Effect.asVoid(Queue.offer(wake, undefined))))
      )

    const candidateOf = (list: OpenList): Candidate | null => {
      const one = (operation: Operation, latest: number, deadline: number | null): Candidate => ({
        id: list.id,
        operation,
        class: laneOf(list.class),
        latestStart: latest,
        deadline,
        since: list.since,
        priority: list.priority
      })
      switch (list.state.status) {
        case "queued":
          // Realtime that is being rendered keeps its place; batch waits outside.
          return contents.get(list.id) === undefined &&
              (laneOf(list.class) === "batch" || !contents.isPreparing(list.id))
            ? null
            : one("upload", latestStart(list.deadline, list.recipients, pace, listSize, 1), list.deadline)
        case "uploaded":
          return one("send", list.deadline - pace.requestMs, list.deadline)
        case "sent":
          return one(
            list.polls >= settings.pollsMax && list.polls % 2 === 0 && promises.reconciliation === "history"
              ? "history"
              : "status",
            list.deadline,
            null
          )
        case "unknown":
          return one("history", list.deadline, null)
        default:
          return null
      }
    }

    const askOf = (candidate: Candidate, list: OpenList): Ask<Work> => ({
      slot: {
        id: slotOf(
          list.id,
          candidate.operation,
          list.state.attempt + (candidate.operation === "upload" || candidate.operation === "send" ? 1 : 0),
          ++asked
        ),
        operation: candidate.operation,
        class: candidate.class,
        leaseMs: settings.leaseMs,
        endsWithinMs
      },
      work: { list, operation: candidate.operation }
    })

    const turn = Effect.gen(function*() {
      const nanos = yield* Clock.currentTimeNanos
      const wall = clock.real()
      const expire = wall < expireAt ? Effect.succeed(0) : store.expireDue(settings.channels).pipe(
        Effect.tap((expired) =>
          Effect.sync(() => {
            // A full page of expiries is followed by the next one at once.
            expireAt = expired >= expiriesMax ? wall : wall + expiryMs
          })
        )
      )
      const [overview] = yield* Effect.all(
        [store.overview(desk.ownership, settings.channels, listSize), expire],
        { concurrency: 2 }
      )
      const lists: Array<OpenList> = []
      for (const list of overview.lists) {
        if (busy.has(list.id)) continue
        const { status } = list.state
        if ((status === "queued" || status === "uploaded") && list.deadline <= overview.now) {
          yield* store.expireList(desk.ownership, list)
          contents.forget(list.id)
        } else if (status === "unknown" && promises.reconciliation !== "history") {
          yield* requests.resolveWithoutHistory(list)
        } else lists.push(list)
      }
      const planned = plan(overview.groups, lists, wall)
      const isReady = (list: OpenList) => list.state.status === "queued" && contents.get(list.id) !== undefined
      // Batch waits for its lists to be made only where a slot would.
      const idle = freeSlots(desk.limits().concurrency, desk.underWay(), "upload") > lists.filter(isReady).length
      const now = planned.filter((group) => laneOf(group.class) === "realtime" || (idle && !making))
      lists.push(...(yield* makeLists(now, wall)))
      yield* makeBeside(planned.filter((group) => !now.includes(group)), wall)
      for (const list of lists) {
        if (list.state.status === "queued" && contents.isWanting(list.id)) {
          yield* prepareBeside(contents.prepare(list))
        }
      }

      const byId = new Map(lists.map((list) => [list.id, list]))
      const input: DispatchInput = {
        candidates: lists.flatMap((list) => candidateOf(list) ?? []),
        inFlight: desk.underWay(),
        concurrency: desk.limits().concurrency,
        shares,
        credit,
        now: overview.now
      }
      const choice = choose(input)
      const asks = choice.start.flatMap((candidate) => {
        const list = byId.get(candidate.id)
        const ready = candidate.operation !== "upload" || contents.get(candidate.id) !== undefined
        return list === undefined || !ready ? [] : [askOf(candidate, list)]
      })
      if (!desk.hasNews() && wall < signAt && (asks.length === 0 || wall < askAt)) return settings.idleMs

      signAt = wall + signOfLifeMs
      const { grants, retryAfterMs } = yield* desk.exchange(asks)
      askAt = retryAfterMs === null ? 0 : wall + Math.min(retryAfterMs, settings.idleMs)
      // Grants may belong to an earlier exchange: a list that has moved on since gives its slot back.
      const begins = grants.filter(({ work }) => work.operation === "upload" || work.operation === "send")
      for (const { work } of grants) busy.add(work.list.id)
      const begun = begins.length === 0 ? new Set<string>() : yield* store.begin(
        desk.ownership,
        begins.map(({ work }) => work.list)
      ).pipe(Effect.tapError(() =>
        Effect.sync(() => {
          // Whether it is noted is not known; nothing has started. What is noted all the same is claimed as in doubt.
          for (const { slot, work } of grants) {
            desk.ended(slot, neverStarted)
            busy.delete(work.list.id)
          }
        })
      ))
      const started = new Set<string>()
      for (const { slot, startBefore, work } of grants) {
        const needsBegin = listStep(work.list.state, { _tag: "RequestBegun" }) !== null
        if (needsBegin && !begun.has(work.list.id)) {
          desk.ended(slot, neverStarted)
          busy.delete(work.list.id)
          continue
        }
        started.add(work.list.id)
        // No request starts after the deadline (G13). A replay's clock stands still meanwhile: `begin` has looked at it.
        const leftMs = Math.max(0, work.list.deadline - overview.now)
        const before = needsBegin && !clock.logical() && leftMs < settings.leaseMs
          ? nanos + BigInt(Math.floor(leftMs * 1e6))
          : startBefore
        yield* FiberSet.run(underWay, start(work, slot, before < startBefore ? before : startBefore))
      }
      credit = settle(input, choice, started)
      return started.size > 0 || retryAfterMs === null ? settings.idleMs : Math.min(settings.idleMs, retryAfterMs)
    })

    const turns: Turns = { turn, busy: () => [...busy] }
    return turns
  })
