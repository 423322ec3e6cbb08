/**
 * Makes lists of what is due, and has their contents rendered: ahead of their turn, but only a few, so that the order can
 * still change and small groups can still grow. All of it goes on beside the turns, which find the lists in the store.
 */
import { type DeliveryClass, deliveryClasses } from "@hikyaku/domain/delivery/Delivery"
import { type Group, latestStart, listNext, type Shares } from "@hikyaku/domain/delivery/Dispatch"
import { freeSlots } from "@hikyaku/domain/delivery/RateLimit"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { Duration, Effect, FiberSet } from "effect"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore, type DueGroup, type OpenList } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import type { ListContents } from "./ListContent.ts"
import type { ListRequests, Work } from "./ListRequests.ts"
import { freshId, type SlotDesk } from "./SlotDesk.ts"

/** Groups of a class of which lists are made at a time, and lists that are rendered at a time. */
const makingMax = 2
const renderingMax = 2
/** How long a group rests of which nothing can be listed, ms: somebody waits for what is realtime. */
export const groupRestMs: Readonly<Record<DeliveryClass, number>> = { realtime: 50, batch: 500 }

/** How long a class rests of which lists could not be made, ms. */
const faultMs = 200

/** An order's own messages go with realtime, ahead of batch. */
export const laneOf = (cls: MessageClass): DeliveryClass => cls === "batch" ? "batch" : "realtime"

/** Messages that lists may still take; null for no limit. */
interface Budget {
  left: number | null
}
const unlimited = { realtime: null, batch: null }

const groupId = (group: DueGroup): string => `${group.class}/${group.campaign}/${group.version}/${group.channel}`

/**
 * `wakeUp` is called when something of a class was made beside the turns; `news` counts what has happened that a look at the store may
 * find, `wakeUp` included.
 */
export const makeListMaking = (
  settings: DispatcherSettings,
  desk: SlotDesk<Work>,
  requests: ListRequests,
  contents: ListContents,
  shares: Shares,
  listSizeNow: () => number,
  wakeUp: (cls: DeliveryClass) => Effect.Effect<void>,
  news: () => number
) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const newId = Effect.provideService(freshId, ShopClock, yield* ShopClock)
    const beside = yield* FiberSet.make<void>()
    const rendering = yield* Effect.makeSemaphore(renderingMax)
    /** Groups of which nothing could be listed, and until when they rest, ms of real time. */
    const resting = new Map<string, number>()
    /** Lists made so far, by the system that asked for them: those that have something due. */
    const served = new Map<string, number>()
    /** Classes of which lists are being made. */
    const making = new Set<DeliveryClass>()
    /** When (by `news`) lists of a group were last made: who has looked before knows nothing of them. */
    const listedAt = new Map<string, number>()
    /** Lists made, and when (by `news`). */
    const madeAt = new Map<OpenList, number>()

    const freeUploads = () => freeSlots(desk.room(), desk.slots(), "upload")

    /** Which groups become lists, one list for each time a group is named. */
    const plan = (
      due: ReadonlyArray<DueGroup>,
      lists: ReadonlyArray<OpenList>,
      wall: number,
      now: number,
      since: number
    ): ReadonlyArray<DueGroup> => {
      for (const [id, until] of resting) if (until <= wall) resting.delete(id)
      for (const [id, at] of listedAt) if (at < since) listedAt.delete(id)
      const byId = new Map(due.map((group) => [groupId(group), group]))
      // What is not there any more, since its request is paused or nothing is due, is begun with anew when it is back.
      for (const id of resting.keys()) if (!byId.has(id)) resting.delete(id)
      for (const id of [...resting.keys(), ...listedAt.keys()]) byId.delete(id)
      const { total, upload } = desk.limits().concurrency
      const queued = { realtime: 0, batch: 0 }
      for (const list of lists) if (list.state.status === "queued") queued[laneOf(list.class)]++
      const listSize = listSizeNow()
      const candidates = [...byId].map(([id, group]): Group => ({
        id,
        class: laneOf(group.class),
        latestStart: latestStart(
          group.deadline,
          // A request must be through as a whole: a big one has to start early.
          Math.max(group.size, group.full ? listSize : 1),
          requests.pace().upload,
          listSize,
          upload ?? total ?? 1,
          desk.limits().messages?.perSecond ?? null
        ),
        since: group.since,
        priority: group.priority,
        full: group.full,
        system: group.system
      }))
      // Who comes anew, or has had nothing to send, does not get back what others had meanwhile.
      const present = new Set(candidates.map(({ system }) => system ?? ""))
      const least = Math.min(...[...present].flatMap((system) => served.get(system) ?? []))
      for (const system of present) if (!served.has(system)) served.set(system, Number.isFinite(least) ? least : 0)
      for (const system of served.keys()) if (!present.has(system)) served.delete(system)
      // One per place: the last of them are what fills the wait for the very last (`lastUploads`).
      const ahead = Math.max(settings.ahead, desk.places())
      return listNext(candidates, queued, freeUploads(), ahead, shares, { now, served })
        .flatMap((chosen) => byId.get(chosen.id) ?? [])
    }

    /** Realtime does not wait for batch to be rendered. */
    const prepare = (list: OpenList, prepared: Effect.Effect<void>) =>
      laneOf(list.class) === "realtime" ? prepared : rendering.withPermits(1)(prepared)

    /** Makes a list and has it rendered; answers how many deliveries were taken: fewer than a list's worth are all there were. */
    const makeOne = (group: DueGroup, listSize: number) =>
      Effect.gen(function*() {
        const { campaign, channel, class: cls, version } = group
        const key = { campaign, channel, class: cls, version }
        const listId = `l-${yield* newId}`
        const { deliveries, list, refused } = yield* store.makeList(desk.ownership, listId, key, listSize)
        if (list === null) return refused
        madeAt.set(list, news())
        served.set(group.system, (served.get(group.system) ?? 0) + 1)
        // A turn that looks before its content is there shall at least not make another one in its place.
        yield* FiberSet.run(
          beside,
          Effect.zipRight(prepare(list, contents.prepare(list, deliveries)), wakeUp(laneOf(list.class)))
        )
        return list.recipients + refused
      })

    /**
     * Makes at most so many lists of a group, one after the other: two at once would share what is due between them, and two
     * small lists are two uploads where one would do. A list that is not full was the last.
     */
    const makeOf = (group: DueGroup, lists: number, wall: number, budget: Budget) =>
      Effect.gen(function*() {
        const id = groupId(group)
        let isFull = true
        for (let made = 0; made < lists && isFull; made++) {
          const size = Math.min(listSizeNow(), budget.left ?? Number.POSITIVE_INFINITY)
          if (size < 1) break
          // Taken off before, since lists of another group are made at the same time.
          if (budget.left !== null) budget.left -= size
          const taken = yield* makeOne(group, size)
          if (budget.left !== null) budget.left += Math.max(0, size - taken)
          isFull = taken >= size
          // Nothing to list and nothing to close: all of it waits for something else, such as a paused run.
          if (made === 0 && taken === 0) resting.set(id, wall + groupRestMs[laneOf(group.class)])
        }
        listedAt.set(id, news())
      })

    /** Makes lists of a class while turns go on; one such at a time. */
    const makeLists = (cls: DeliveryClass, groups: ReadonlyArray<DueGroup>, wall: number, budget: Budget) =>
      Effect.suspend(() => {
        if (groups.length === 0 || making.has(cls)) return Effect.void
        making.add(cls)
        const lists = new Map<DueGroup, number>()
        for (const group of groups) lists.set(group, (lists.get(group) ?? 0) + 1)
        const work = Effect.forEach(lists, ([group, count]) => makeOf(group, count, wall, budget), {
          concurrency: makingMax,
          discard: true
        })
        return Effect.asVoid(FiberSet.run(
          beside,
          work.pipe(
            Effect.catchAllCause((cause) =>
              Effect.zipRight(
                Effect.logWarning("Lists could not be made; it will be tried again", cause),
                Effect.sleep(Duration.millis(faultMs))
              )
            ),
            Effect.ensuring(Effect.sync(() => making.delete(cls))),
            Effect.zipRight(wakeUp(cls))
          )
        ))
      })

    /**
     * Sees to it that there are lists of the groups, given those there are, and that all of them get content. `since`: the
     * `news` as of when the store was looked at. A group of which lists were made meanwhile is left to the next look: what
     * was due of it then may be listed by now, and a group of which nothing can be listed has to rest. `may`: messages that
     * each class may list, null for no limit.
     */
    const make = (
      groups: ReadonlyArray<DueGroup>,
      lists: ReadonlyArray<OpenList>,
      wall: number,
      now: number,
      since: number,
      may: Readonly<Record<DeliveryClass, number | null>> = unlimited
    ) =>
      Effect.gen(function*() {
        const planned = plan(groups, lists, wall, now, since)
        for (const cls of deliveryClasses) {
          yield* makeLists(cls, planned.filter((group) => laneOf(group.class) === cls), wall, { left: may[cls] })
        }
        for (const list of lists) {
          if (list.state.status === "queued" && contents.isWanting(list.id)) {
            yield* FiberSet.run(
              beside,
              Effect.zipRight(prepare(list, contents.prepare(list)), wakeUp(laneOf(list.class)))
            )
          }
        }
      })

    /** Lists that a look at the store as of `since` may know nothing of. */
    const made = (since: number): Iterable<OpenList> => {
      for (const [list, at] of madeAt) if (at < since) madeAt.delete(list)
      return madeAt.keys()
    }
    return { make, made, isMaking: (cls?: DeliveryClass) => cls === undefined ? making.size > 0 : making.has(cls) }
  })
