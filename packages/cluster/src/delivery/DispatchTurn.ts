/**
 * One turn of a dispatcher: looks at what there is to do, lets `Dispatch` choose what is made ready, gets slots for the
 * choice, notes in the store what is about to start, and puts it on the starting line. Between any two of these steps a
 * crash leaves nothing worse than a slot that lapses or a list in doubt.
 * Lists are made, and begin, while the next turn goes on.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import {
  type Candidate,
  choose,
  type Credit,
  type DispatchInput,
  readyInput,
  settle,
  type Shares
} from "@hikyaku/domain/delivery/Dispatch"
import { listStep, mayHaveGone } from "@hikyaku/domain/delivery/List"
import { noCounts } from "@hikyaku/domain/delivery/RateLimit"
import type { Speed } from "@hikyaku/domain/delivery/Request"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { Clock, Duration, Effect, FiberSet, Option, Queue } from "effect"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore, expiriesMax, type OpenList, type Overview, type StoreFault } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import { makeCandidates } from "./ListCandidates.ts"
import type { ListContents } from "./ListContent.ts"
import { laneOf, makeListMaking } from "./ListMaking.ts"
import type { ListRequests, Work } from "./ListRequests.ts"
import { Provider } from "./Provider.ts"
import { type Ask, type DeskError, type Grant, neverStarted, type SlotDesk } from "./SlotDesk.ts"
import { makeStartingLine, type Ready } from "./StartingLine.ts"
import { listSizeFor, mayList, mayUpload, slotsOf, unsentOf, withUpload } from "./Unsent.ts"

/** How often due deliveries past their deadline are looked for, ms. */
const expiryMs = 250
/** How often an idle dispatcher makes itself known to the Provider actor, ms; well below the silence that deposes it. */
const signOfLifeMs = 4_000
/** How often a stopping dispatcher tells which of its requests have ended, ms. */
const tellMs = 50
/** How long lists rest that could not begin, ms. */
const faultMs = 200
/** The last lists of a batch are at most so many times as many as there are places: with more it is not the end yet. */
const lastPart = 2
/** The part of its lease that a ready request's slot has left when another one is asked for. */
const renewal = 0.5
/** The part of the requests that are made ready ahead that supplies the places: no turn is made for the sake of one more. */
const suppliedPart = 0.5

export interface Turns {
  /** One turn; answers after how many ms the next one makes sense if nothing happens. */
  readonly turn: Effect.Effect<number, DeskError | StoreFault>
  /** Waits until the next turn is worth it, and no longer than is good for realtime, which `told` says something of. */
  readonly gathered: (told: Effect.Effect<unknown>) => Effect.Effect<void>
  /** Ends, with the cause, when something broke beside the turns: what it had in hand is only found by beginning anew. */
  readonly broken: Effect.Effect<void>
  /** Lists with a request that is ready or under way. */
  readonly busy: () => ReadonlyArray<string>
  /** Whether the last turn found anything that the shop's clock makes due or late. */
  readonly awaitsClock: () => boolean
  /** Whether the last turn found nothing due, no list to work on, and nothing being made, ready or under way. */
  readonly isQuiet: () => boolean
  /** How fast the account works. */
  readonly speed: () => Omit<Speed, "messages">
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
    const { promises } = yield* Provider
    const busy = new Set<string>()
    /** Lists whose uploads are granted and were not on record when the store was last looked at. */
    const uploading = new Map<string, OpenList>()
    const shares: Shares = { batch: settings.batchShare, ageMs: settings.ageMs }
    const listSize = () =>
      listSizeFor(desk.limits(), Math.min(settings.listSize, promises.listSizeMax), requests.pace())
    const { askOf, candidateOf, endsWithinMs, repeatableFor } = makeCandidates(
      settings,
      promises,
      requests,
      contents,
      listSize
    )
    /** Whether the lists that are queued are the last of batch, for now. */
    let isLast = false
    let credit: Credit = noCounts
    let isQuiet = false
    let awaitsClock = true
    let expireAt = 0
    /** Real time before which asking for slots again is of no use, and by which the actor has to hear from here. */
    let askAt = 0
    let signAt = 0
    /** Real time from which on the room is asked for again while an earlier owner's requests take part of it. */
    let roomAskAt = 0
    /** Counts what has happened that a look at the store may find, and when which list was last let go. */
    let news = 0
    const freedAt = new Map<string, number>()
    /** Ends the gathering of what happens. */
    const hurry = yield* Queue.sliding<void>(1)
    const isSupplied = () => line.all().length >= Math.max(1, desk.ahead() * suppliedPart)
    const wakeUpFor = (cls: DeliveryClass) =>
      Effect.suspend(() => {
        news++
        if (cls === "realtime" || !isSupplied()) hurry.unsafeOffer(undefined)
        return Effect.asVoid(wake.offer(undefined))
      })
    const wakeUp = wakeUpFor("batch")
    const letGo = (list: string): void => {
      busy.delete(list)
      freedAt.set(list, news)
    }

    const listing = yield* makeListMaking(settings, desk, requests, contents, shares, listSize, wakeUpFor, () => news)
    const line = yield* makeStartingLine(
      shares,
      desk.room,
      (work, startBefore, over) =>
        requests.perform(work, startBefore, over).pipe(
          // A fault of the program: the claim of lists that are not busy puts it right.
          Effect.catchAllDefect((defect) =>
            Effect.as(Effect.logError("A request's outcome is lost by a fault", defect), {
              started: true,
              busyForMs: endsWithinMs,
              throttledForMs: null
            })
          )
        ),
      // Gives the slot back once the outcome is on record.
      ({ work }, slot, ending) =>
        Effect.suspend(() => {
          desk.ended(slot, ending)
          letGo(work.list.id)
          return wakeUp
        }),
      () => isLast
    )
    const beside = yield* FiberSet.make<void, never>()

    /** What was ready will not start: its slot goes back, its list is as before. */
    const takeBack = ({ slot, work }: Ready) =>
      Effect.suspend(() => {
        if (slot !== null) desk.ended(slot.id, neverStarted)
        return Effect.ensuring(requests.takeBack(work), Effect.sync(() => letGo(work.list.id)))
      })

    const takeAllBack = (ready: ReadonlyArray<Ready>) =>
      Effect.forEach(ready, takeBack, { concurrency: "unbounded", discard: true })
    /** Waits until nothing is under way, and tells of each end soon: somebody else may wait for its slot. */
    const ended = Effect.timeoutOption(line.ended, Duration.millis(tellMs)).pipe(
      Effect.zipLeft(Effect.ignore(desk.flush)),
      Effect.repeat({ until: Option.isSome })
    )
    // A stopping dispatcher lets its requests end: answers that are on record need not be reconciled.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        // Told at once: the next owner may use their slots' places while their lists are put right.
        const idle = yield* line.close
        for (const { slot } of idle) if (slot !== null) desk.ended(slot.id, neverStarted)
        const put = takeAllBack(idle.map((ready) => ({ ...ready, slot: null })))
        yield* Effect.all([Effect.ignore(desk.flush), put], { concurrency: 2, discard: true }).pipe(
          // What was about to be ready comes too late for the line.
          Effect.zipRight(FiberSet.awaitEmpty(beside)),
          Effect.zipRight(Effect.flatMap(line.close, takeAllBack)),
          Effect.zipRight(ended),
          Effect.interruptible,
          Effect.timeoutOption(Duration.millis(settings.drainMs))
        )
        yield* desk.flush.pipe(Effect.interruptible, Effect.timeout(Duration.seconds(1)), Effect.ignore)
      })
    )

    /** Asks for the slots of ready requests whose own have run out, or soon will; takes back what is past a deadline. */
    const renew = Effect.gen(function*() {
      const nanos = yield* Clock.currentTimeNanos
      const asks: Array<Ask<Work>> = []
      const soon = nanos + BigInt(Math.floor(settings.leaseMs * renewal * 1e6))
      for (const ready of line.all()) {
        const { candidate, deadline, slot, work } = ready
        if (deadline !== null && deadline <= nanos) {
          line.remove(work.list.id)
          yield* FiberSet.run(beside, Effect.zipRight(takeBack(ready), wakeUp))
        } else if (slot === null || slot.startBefore <= soon) {
          if (slot !== null) desk.ended(slot.id, neverStarted)
          ready.slot = null
          asks.push(askOf(candidate, work.list))
        }
      }
      return asks
    })

    /** The lists of an overview that are there to be worked on; what is past its deadline is closed. */
    const openLists = (overview: Overview) =>
      Effect.gen(function*() {
        const lists: Array<OpenList> = []
        for (const list of overview.lists) {
          if (busy.has(list.id) || freedAt.has(list.id)) continue
          const { status } = list.state
          const late = (status === "queued" || status === "uploaded") && list.deadline <= overview.now
          const isDoubtful = mayHaveGone(list.state) || (list.state.status === "unknown" && list.state.of === "send")
          if (isDoubtful && promises.reconciliation === "retry-key" && repeatableFor(list) <= 0) {
            yield* requests.giveUp(list, "no answer to the send, and its key is too old to repeat it")
          } else if (mayHaveGone(list.state) && (late || promises.reconciliation !== "retry-key")) {
            yield* requests.giveUp(
              list,
              late ? "deadline passed after a send that got no answer" : "no way to find out"
            )
          } else if (late) {
            yield* store.expireList(desk.ownership, list)
            contents.forget(list.id)
          } else if (status === "unknown" && promises.reconciliation !== "history") {
            yield* requests.resolveWithoutHistory(list)
          } else lists.push(list)
        }
        return lists
      })

    /** The slots of an answer: those of ready requests are put in, the others' lists are busy from now on. */
    const take = (grants: ReadonlyArray<Grant<Work>>): ReadonlyArray<Grant<Work>> =>
      grants.filter(({ slot, startBefore, work }) => {
        const ready = line.get(work.list.id)
        if (ready?.slot === null && ready.work.operation === work.operation) ready.slot = { id: slot, startBefore }
        // Grants may belong to an earlier exchange: a list that has moved on since gives its slot back.
        else if (busy.has(work.list.id)) desk.ended(slot, neverStarted)
        else {
          busy.add(work.list.id)
          if (work.operation === "upload") uploading.set(work.list.id, work.list)
          return true
        }
        return false
      })

    /** Puts granted requests on the starting line, once their lists say that they begin. */
    const lineUp = (
      grants: ReadonlyArray<Grant<Work>>,
      candidates: ReadonlyMap<string, Candidate>,
      now: number,
      nanos: bigint
    ) =>
      Effect.gen(function*() {
        const giveBack = ({ slot, work }: Grant<Work>): void => {
          desk.ended(slot, neverStarted)
          letGo(work.list.id)
        }
        const begins = (work: Work) => listStep(work.list.state, { _tag: "RequestBegun" }) !== null
        const lists = grants.flatMap(({ work }) => begins(work) ? [work.list] : [])
        const begun = lists.length === 0 ? new Set<string>() : yield* store.begin(desk.ownership, lists).pipe(
          Effect.catchAll((fault) =>
            // Whether it is noted is not known; nothing has started. What is noted all the same is claimed as in doubt.
            Effect.logWarning("Lists could not begin; they will be tried again", fault).pipe(
              Effect.zipRight(Effect.sleep(Duration.millis(faultMs))),
              Effect.as(new Set<string>())
            )
          )
        )
        for (const grant of grants) {
          const { slot, startBefore, work } = grant
          const { list, operation } = work
          const candidate = candidates.get(list.id)
          if (candidate === undefined || (begins(work) && !begun.has(list.id))) {
            giveBack(grant)
            continue
          }
          // No request starts after the deadline (G13). A replay's clock stands still meanwhile: `begin` has looked at it.
          const leftMs = Math.min(
            begins(work) && !clock.logical() ? list.deadline - now : Number.POSITIVE_INFINITY,
            mayHaveGone(list.state) ? repeatableFor(list) : Number.POSITIVE_INFINITY
          )
          const deadline = Number.isFinite(leftMs) ? nanos + BigInt(Math.floor(Math.max(0, leftMs) * 1e6)) : null
          line.add({ work, candidate: { ...candidate, operation }, deadline, slot: { id: slot, startBefore } })
        }
        yield* line.launch
        yield* wakeUp
      })

    /** What there is to do, with what was known to have happened when it was looked at. */
    const look = Effect.suspend(() => {
      const wall = clock.real()
      const since = news
      const expire = wall < expireAt ? Effect.succeed(0) : store.expireDue(settings.channels).pipe(
        Effect.tap((expired) =>
          Effect.sync(() => {
            // A full page of expiries is followed by the next one at once.
            expireAt = expired >= expiriesMax ? wall : wall + expiryMs
          })
        )
      )
      return Effect.all({
        overview: store.overview(desk.ownership, settings.channels, listSize()),
        nanos: Clock.currentTimeNanos,
        expired: expire
      }, { concurrency: 3 }).pipe(Effect.map(({ nanos, overview }) => ({ overview, nanos, since })))
    })
    const turn = Effect.gen(function*() {
      isQuiet = false
      awaitsClock = true
      yield* Queue.takeAll(hurry)
      const { nanos, overview, since } = yield* look
      const wall = clock.real()
      // What was let go meanwhile is not as it was when it was looked at.
      for (const [list, at] of freedAt) {
        if (at >= since) continue
        freedAt.delete(list)
        if (!busy.has(list)) uploading.delete(list)
      }
      const lists = yield* openLists(overview)
      const left = desk.leftOfDay()
      let unsent = unsentOf(overview, uploading, listing.made(since))
      yield* listing.make(overview.groups, lists, wall, overview.now, since, mayList(unsent, left))

      const isBatch = ({ class: cls }: { readonly class: MessageClass }) => laneOf(cls) === "batch"
      const queued = lists.filter((list) => list.state.status === "queued" && isBatch(list)).length
      isLast = queued <= lastPart * desk.places() && !overview.groups.some(isBatch) && !listing.isMaking("batch")

      const byId = new Map(lists.map((list) => [list.id, list]))
      const input: DispatchInput = readyInput({
        candidates: lists.flatMap((list) => {
          const candidate = candidateOf(list, overview.now)
          return candidate === null ||
              (candidate.operation === "upload" && !mayUpload(unsent, desk.limits(), left, list))
            ? []
            : [candidate]
        }),
        inFlight: desk.slots(),
        concurrency: desk.room(),
        shares,
        credit,
        now: overview.now,
        lastUploads: isLast
      }, desk.ahead())
      const choice = choose(input)
      const asks = yield* renew
      for (const candidate of choice.start) {
        const list = byId.get(candidate.id)
        if (list === undefined) continue
        if (candidate.operation === "upload") {
          // Each of them may be uploaded, but not all of them together.
          if (contents.get(list.id) === undefined || !mayUpload(unsent, desk.limits(), left, list)) continue
          unsent = withUpload(unsent, list)
        }
        asks.push(askOf(candidate, list))
      }
      awaitsClock = overview.awaitsClock || busy.size > 0 ||
        overview.lists.length + overview.waiting.length + overview.paused.length > 0
      isQuiet = overview.groups.length === 0 && overview.lists.length === 0 && busy.size === 0 && !listing.isMaking() &&
        news === since
      const idleMs = isQuiet ? Math.max(settings.idleMs, settings.quietMs) : settings.idleMs
      const restMs = Math.min(
        overview.wakeInMs ?? idleMs,
        idleMs,
        line.all().length > 0 ? settings.leaseMs * renewal / 2 : idleMs
      )
      const roomAt = desk.roomAt()
      const mayAsk = asks.length > 0 && wall >= askAt
      // An earlier owner that lives still tells how its requests end: what is ready need not wait until they must have.
      const mayGrow = roomAt !== null && (wall >= roomAt || (line.all().length > 0 && wall >= roomAskAt))
      if (!desk.hasNews() && wall < signAt && !mayAsk && !mayGrow) {
        return news > since ? 0 : restMs
      }

      signAt = wall + signOfLifeMs
      roomAskAt = wall + settings.idleMs
      const { grants, retryAfterMs } = yield* desk.exchange(asks)
      askAt = retryAfterMs === null ? 0 : wall + Math.min(retryAfterMs, settings.idleMs)
      const fresh = take(grants)
      credit = settle(input, choice, new Set(fresh.map(({ work }) => work.list.id)))
      const candidates = new Map(fresh.flatMap(({ work: { list, operation } }) => {
        const candidate = candidateOf(list, overview.now)
        return candidate === null ? [] : [[list.id, { ...candidate, operation }] as const]
      }))
      if (fresh.length > 0) yield* FiberSet.run(beside, lineUp(fresh, candidates, overview.now, nanos))
      else yield* line.launch
      if (news > since) return 0
      return retryAfterMs === null ? restMs : Math.min(restMs, retryAfterMs)
    })

    const turns: Turns = {
      turn,
      gathered: (told) =>
        Effect.suspend(() =>
          isSupplied()
            ? Effect.asVoid(
              Effect.timeoutOption(Effect.raceFirst(Queue.take(hurry), told), Duration.millis(settings.gatherMs))
            )
            : Effect.void
        ),
      broken: FiberSet.join(beside),
      busy: () => [...busy],
      awaitsClock: () => awaitsClock,
      isQuiet: () => isQuiet,
      speed: () => ({ ...requests.pace(), slots: slotsOf(desk.limits()), listSize: listSize() })
    }
    return turns
  })
