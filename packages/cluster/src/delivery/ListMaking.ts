/**
 * Makes lists of what is due, and has their contents rendered: ahead of their turn, but only a few, so that the order can
 * still change and small groups can still grow.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import { type Group, latestStart, listNext, type Shares } from "@hikyaku/domain/delivery/Dispatch"
import { freeSlots } from "@hikyaku/domain/delivery/RateLimit"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { Effect, FiberSet } from "effect"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore, type DueGroup, type OpenList } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import type { ListContents } from "./ListContent.ts"
import type { ListRequests, Work } from "./ListRequests.ts"
import { freshId, type SlotDesk } from "./SlotDesk.ts"

/** Lists of at most so many recipients are rendered within the turn: it is quicker than coming back for them. */
const inlineMax = 100
/** How many lists are rendered at a time beside the turns. */
const renderingMax = 2
/** How long a group rests of which nothing can be listed, ms. */
const groupRestMs = 500

/** An order's own messages go with realtime, ahead of batch. */
export const laneOf = (cls: MessageClass): DeliveryClass => cls === "batch" ? "batch" : "realtime"

const groupId = (group: DueGroup): string => `${group.class}/${group.campaign}/${group.version}/${group.channel}`

/** `wakeUp` is called when something was made beside the turns. */
export const makeListMaking = (
  settings: DispatcherSettings,
  desk: SlotDesk<Work>,
  requests: ListRequests,
  contents: ListContents,
  shares: Shares,
  listSize: number,
  wakeUp: Effect.Effect<void>
) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const newId = Effect.provideService(freshId, ShopClock, yield* ShopClock)
    const beside = yield* FiberSet.make<void>()
    const rendering = yield* Effect.makeSemaphore(renderingMax)
    /** Groups of which nothing could be listed, and until when they rest, ms of real time. */
    const resting = new Map<string, number>()
    let making = false

    const freeUploads = () => freeSlots(desk.room(), desk.slots(), "upload")

    /** Which groups become lists, one list for each time a group is named. */
    const plan = (
      due: ReadonlyArray<DueGroup>,
      lists: ReadonlyArray<OpenList>,
      wall: number
    ): ReadonlyArray<DueGroup> => {
      for (const [id, until] of resting) if (until <= wall) resting.delete(id)
      const byId = new Map(due.map((group) => [groupId(group), group]))
      for (const id of resting.keys()) byId.delete(id)
      const { total, upload } = desk.limits().concurrency
      const queued = { realtime: 0, batch: 0 }
      for (const list of lists) if (list.state.status === "queued") queued[laneOf(list.class)]++
      const candidates = [...byId].map(([id, group]): Group => ({
        id,
        class: laneOf(group.class),
        latestStart: latestStart(
          group.deadline,
          group.full ? listSize : 1,
          requests.pace().upload,
          listSize,
          upload ?? total ?? 1
        ),
        since: group.since,
        priority: group.priority,
        full: group.full
      }))
      return listNext(candidates, queued, freeUploads(), settings.ahead, shares)
        .flatMap((chosen) => byId.get(chosen.id) ?? [])
    }

    const prepareBeside = (prepare: Effect.Effect<void>) =>
      FiberSet.run(beside, Effect.zipRight(rendering.withPermits(1)(prepare), wakeUp))

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
          beside,
          makeLists(groups, wall).pipe(
            Effect.catchAll((fault) => Effect.logWarning("Lists could not be made; it will be tried again", fault)),
            Effect.ensuring(Effect.sync(() => {
              making = false
            })),
            Effect.zipRight(wakeUp)
          )
        ))
      })

    return {
      /** Makes lists of the groups, given the lists there are; answers those that this turn can count on. */
      make: (groups: ReadonlyArray<DueGroup>, lists: ReadonlyArray<OpenList>, wall: number) =>
        Effect.gen(function*() {
          const planned = plan(groups, lists, wall)
          const isReady = (list: OpenList) => list.state.status === "queued" && contents.get(list.id) !== undefined
          // Batch waits for its lists to be made only where a slot would.
          const idle = freeUploads() > lists.filter(isReady).length
          const now = planned.filter((group) => laneOf(group.class) === "realtime" || (idle && !making))
          const made = yield* makeLists(now, wall)
          yield* makeBeside(planned.filter((group) => !now.includes(group)), wall)
          for (const list of [...lists, ...made]) {
            if (list.state.status === "queued" && contents.isWanting(list.id)) {
              yield* prepareBeside(contents.prepare(list))
            }
          }
          return made
        })
    }
  })
