/** How many lists are made of what is due, and when a group is left alone. */
import { it } from "@effect/vitest"
import { layerTest as clockLayer } from "@hikyaku/cluster/actor/ShopClock"
import { DeliveryStore, type DueGroup, type MadeList } from "@hikyaku/cluster/delivery/DeliveryStore"
import { dispatcherDefaults } from "@hikyaku/cluster/delivery/DispatcherSettings"
import type { ListContents } from "@hikyaku/cluster/delivery/ListContent"
import { groupRestMs, makeListMaking } from "@hikyaku/cluster/delivery/ListMaking"
import type { ListRequests, Work } from "@hikyaku/cluster/delivery/ListRequests"
import type { SlotDesk } from "@hikyaku/cluster/delivery/SlotDesk"
import { noCounts, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Deferred, Effect, Layer, Queue, type Scope } from "effect"
import { describe, expect } from "vitest"

const listSize = 10
const places = 8

const due = (
  campaign: string,
  full: boolean,
  system = "",
  cls: "batch" | "realtime" | "transactional" = "batch"
): DueGroup => ({
  campaign,
  version: 1,
  class: cls,
  channel: "mail",
  since: 0,
  priority: 0,
  full,
  deadline: 1_000_000,
  size: 0,
  system
})

const unused = () => Effect.dieMessage("not asked for here")
const limits = { concurrency: { ...unbounded, total: places }, perSecond: unbounded, marginMs: 0 }
const desk: SlotDesk<Work> = {
  ownership: { provider: "p", owner: "o", epoch: 1 },
  leftOfDay: () => ({ realtime: null, batch: null }),
  limits: () => limits,
  room: () => limits.concurrency,
  roomAt: () => null,
  places: () => places,
  ahead: () => 2 * places,
  slots: () => noCounts,
  ended: () => {},
  hasNews: () => false,
  exchange: unused,
  flush: Effect.void
}
const pace = { requestMs: 100, perRecipientMs: 1 }
const requests: ListRequests = {
  perform: unused,
  takeBack: unused,
  giveUp: unused,
  pace: () => ({ upload: pace, sending: pace }),
  resolveWithoutHistory: unused,
  settleMs: 0
}
const contents: ListContents = {
  get: () => undefined,
  isPreparing: () => true,
  isWanting: () => false,
  prepare: () => Effect.void,
  forget: () => {}
}

/** A call of `makeList` that the test answers. */
interface Call {
  readonly campaign: string
  readonly answer: (recipients: number) => Effect.Effect<boolean>
}

/** List making over a store whose answers the test gives one by one. */
const stage = Effect.gen(function*() {
  const calls = yield* Queue.unbounded<Call>()
  const woken = yield* Queue.unbounded<void>()
  let news = 0
  const store = Layer.mock(DeliveryStore, {
    makeList: (_, id, key) =>
      Effect.gen(function*() {
        const made = yield* Deferred.make<MadeList>()
        const answer = (recipients: number) =>
          Deferred.succeed(made, {
            list: recipients === 0 ? null : {
              ...key,
              id,
              recipients,
              state: { status: "queued", attempt: 0 },
              priority: 0,
              polls: 0,
              since: 0,
              deadline: 1_000_000
            },
            deliveries: [],
            refused: 0
          })
        yield* Queue.offer(calls, { campaign: key.campaign, answer })
        return yield* Deferred.await(made)
      })
  })
  const settings = { ...dispatcherDefaults, account: "p", channels: ["mail" as const] }
  const wakeUp = Effect.suspend(() => {
    news++
    return Effect.asVoid(Queue.offer(woken, undefined))
  })
  const listing = yield* makeListMaking(
    settings,
    desk,
    requests,
    contents,
    { batch: 0.2, ageMs: 60_000 },
    () => listSize,
    () => wakeUp,
    () => news
  ).pipe(Effect.provide(Layer.merge(store, clockLayer)))
  return {
    make: (groups: ReadonlyArray<DueGroup>, since = news, wall = 0) => listing.make(groups, [], wall, 0, since),
    next: Queue.take(calls),
    /** Calls that the test has not seen, once whatever can go on has gone on. */
    more: Effect.zipRight(Effect.yieldNow({ priority: 1 }), Queue.size(calls)),
    woken: Queue.take(woken),
    news: () => news
  }
})

type Stage = Effect.Effect.Success<typeof stage>
const staged = (test: (of: Stage) => Effect.Effect<void, unknown, Scope.Scope>) => Effect.flatMap(stage, test)

describe("lists of a group", () => {
  it.scoped("are made one after the other, so that two do not share one list's worth", () =>
    staged(({ make, more, next }) =>
      Effect.gen(function*() {
        yield* make([due("c", true)])
        const first = yield* next
        expect(yield* more).toBe(0)
        yield* first.answer(listSize)
        const second = yield* next
        expect(yield* more).toBe(0)
        // What is left over is not followed by another.
        yield* second.answer(3)
        expect(yield* more).toBe(0)
      })
    ))

  it.scoped("do not wait for those of another group", () =>
    staged(({ make, next }) =>
      Effect.gen(function*() {
        yield* make([due("a", true, "x"), due("b", true, "y")])
        const calls = [yield* next, yield* next]
        expect(calls.map((call) => call.campaign).toSorted()).toEqual(["a", "b"])
      })
    ))
})

describe("a group of which nothing can be listed", () => {
  it.scoped("rests", () =>
    staged(({ make, more, next, woken }) =>
      Effect.gen(function*() {
        yield* make([due("c", false)])
        yield* Effect.flatMap(next, (call) => call.answer(0))
        yield* woken
        yield* make([due("c", false)])
        expect(yield* more).toBe(0)
      })
    ))

  it.scoped("rests for a short time where somebody waits for it (G11)", () =>
    staged(({ make, more, next, news, woken }) =>
      Effect.gen(function*() {
        const groups = [
          due("now", false, "", "realtime"),
          due("order", false, "", "transactional"),
          due("batch", false)
        ]
        yield* make(groups)
        for (const _ of groups) yield* Effect.flatMap(next, (call) => call.answer(0))
        // Either class tells that its lists are made.
        yield* Effect.zipRight(woken, woken)
        yield* make(groups, news(), groupRestMs.realtime - 1)
        expect(yield* more).toBe(0)
        yield* make(groups, news(), groupRestMs.realtime)
        const again = [yield* next, yield* next]
        expect(again.map(({ campaign }) => campaign).toSorted()).toEqual(["now", "order"])
        expect(yield* more).toBe(0)
        yield* make(groups, news(), groupRestMs.batch)
        expect((yield* next).campaign).toBe("batch")
      })
    ))

  it.scoped("does not go on resting when it was away meanwhile: a request that is resumed goes on at once (G11)", () =>
    staged(({ make, more, next, woken }) =>
      Effect.gen(function*() {
        yield* make([due("c", false), due("d", false)])
        // Paused between the look and the making of its list.
        yield* Effect.flatMap(next, (call) => call.answer(0))
        yield* Effect.flatMap(next, (call) => call.answer(0))
        yield* woken
        yield* make([due("d", false)])
        expect(yield* more).toBe(0)
        yield* make([due("c", false), due("d", false)])
        expect((yield* next).campaign).toBe("c")
        expect(yield* more).toBe(0)
      })
    ))

  it.scoped("does not rest because all of it had just been listed: what is due of it next is listed at once (G11)", () =>
    staged(({ make, more, news, next, woken }) =>
      Effect.gen(function*() {
        const before = news()
        yield* make([due("c", false)])
        yield* Effect.flatMap(next, (call) => call.answer(1))
        // Its content is there, and its making is over.
        yield* Effect.zipRight(woken, woken)
        // A turn that looked before the list was made still sees what is in it as due.
        yield* make([due("c", false)], before)
        expect(yield* more).toBe(0)
        yield* make([due("c", false)])
        expect((yield* next).campaign).toBe("c")
      })
    ))

  it.scoped("nor because the last whole list took all of it", () =>
    staged(({ make, next, woken }) =>
      Effect.gen(function*() {
        yield* make([due("c", true)])
        yield* Effect.flatMap(next, (call) => call.answer(listSize))
        yield* Effect.flatMap(next, (call) => call.answer(0))
        yield* Effect.zipRight(woken, woken)
        yield* make([due("c", false)])
        expect((yield* next).campaign).toBe("c")
      })
    ))
})
