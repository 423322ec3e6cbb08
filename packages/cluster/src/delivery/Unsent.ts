/**
 * How limits on messages bound what is listed and uploaded ahead of its turn: a list gives its place in the order away, and
 * what cannot be sent yet is better left where a more urgent one can still overtake it. Pure.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import { listSizeOf } from "@hikyaku/domain/delivery/MessageRate"
import { type Limits, slotsMax } from "@hikyaku/domain/delivery/RateLimit"
import type { Speed } from "@hikyaku/domain/delivery/Request"
import type { OpenList, Overview } from "./DeliveryStore.ts"
import { laneOf } from "./ListMaking.ts"
import type { SlotDesk } from "./SlotDesk.ts"

/** Uploaded and not sent yet, at most, where a limit on messages holds sends back: what goes out in so many seconds. */
const uploadedSeconds = 2
/** Requests that a list needs: its upload, its send, and a question about it. */
const requestsOfList = 3

/** Lists that can be uploaded at one time. */
export const slotsOf = ({ concurrency: { total, upload } }: Limits): number =>
  Math.min(total ?? slotsMax, upload ?? slotsMax)

/** Recipients of a list by the account's limits: see `listSizeOf`. */
export const listSizeFor = (
  limits: Limits,
  wanted: number,
  { upload: { requestMs } }: Pick<Speed, "upload">
): number => {
  if (limits.messages === undefined) return wanted
  const { send, total, upload } = limits.perSecond
  const listsPerSecond = Math.min(
    (total ?? Number.POSITIVE_INFINITY) / requestsOfList,
    upload ?? Number.POSITIVE_INFINITY,
    send ?? Number.POSITIVE_INFINITY,
    slotsOf(limits) * 1_000 / (requestsOfList * Math.max(1, requestMs))
  )
  return listSizeOf(limits.messages, wanted, listsPerSecond)
}

/**
 * Messages in lists that are not sent, by class: all of them, those that are at the provider and go out soon, and those that
 * are there while their request is paused.
 */
export interface Unsent {
  readonly listed: Record<DeliveryClass, number>
  readonly uploaded: Record<DeliveryClass, number>
  readonly paused: Record<DeliveryClass, number>
}
/**
 * Counts every list whose send is not granted yet, also those that are put off: what is left of a day is left for them.
 * `uploading`: lists whose uploads are granted, which the overview may still tell as queued. `made`: lists that may have been
 * made after it was read.
 */
export const unsentOf = (
  { lists, paused, waiting }: Pick<Overview, "lists" | "waiting" | "paused">,
  uploading: ReadonlyMap<string, OpenList>,
  made: Iterable<OpenList> = []
): Unsent => {
  const unsent: Unsent = {
    listed: { realtime: 0, batch: 0 },
    uploaded: { realtime: 0, batch: 0 },
    paused: { realtime: 0, batch: 0 }
  }
  const counted = new Set<string>()
  const add = ({ class: cls, id, recipients }: OpenList, uploaded: boolean) => {
    if (counted.has(id)) return
    counted.add(id)
    unsent.listed[laneOf(cls)] += recipients
    if (uploaded) unsent.uploaded[laneOf(cls)] += recipients
  }
  for (const list of uploading.values()) add(list, true)
  for (const list of [...lists, ...waiting]) {
    const { state } = list
    // An upload that is under way or in doubt may be there, and its list is sent then.
    const mayBeThere = state.status === "uploaded" || state.status === "uploading" ||
      (state.status === "unknown" && state.of === "upload")
    // A send in doubt may turn out not to have begun, and its messages, given back by then, are still to be sent. It says
    // nothing of what may be uploaded: its doubt can last for minutes.
    const mayBeSent = state.status === "unknown" && state.of === "send"
    if (mayBeThere || mayBeSent || state.status === "queued") add(list, mayBeThere)
    // One that is further than that does not count as made.
    else counted.add(list.id)
  }
  for (const list of paused) {
    if (list.state.status === "uploaded" && !counted.has(list.id)) unsent.paused[laneOf(list.class)] += list.recipients
    add(list, false)
  }
  for (const list of made) add(list, false)
  return unsent
}

type LeftOfDay = ReturnType<SlotDesk<unknown>["leftOfDay"]>
/** What a day leaves to each class besides so many messages; null for no limit. Realtime does not wait for batch. */
const besides = (messages: Record<DeliveryClass, number>, { batch, realtime }: LeftOfDay): LeftOfDay => ({
  realtime: realtime === null ? null : realtime - messages.realtime,
  batch: batch === null ? null : batch - messages.batch - messages.realtime
})

/** Messages that each class may still list, so that none is listed long before its turn; null for no limit. */
export const mayList = ({ listed }: Unsent, left: LeftOfDay): LeftOfDay => besides(listed, left)

/**
 * Whether a queued list may be uploaded: what is uploaded and cannot be sent yet has given its place in the order away, and
 * no more is uploaded than the day leaves, however much was listed. What is paused counts for the day, of which it may need
 * its part; the pace of the others does not wait for it.
 */
export const mayUpload = (
  { paused, uploaded }: Unsent,
  { messages }: Limits,
  left: LeftOfDay,
  list: OpenList
): boolean => {
  const cls = laneOf(list.class)
  const perSecond = messages?.perSecond ?? null
  const there = { realtime: uploaded.realtime + paused.realtime, batch: uploaded.batch + paused.batch }
  const day = besides(there, left)[cls]
  return (perSecond === null || uploaded[cls] < perSecond * uploadedSeconds) && (day === null || list.recipients <= day)
}

/** What is unsent once a list that was queued is uploaded, too. */
export const withUpload = (unsent: Unsent, { class: cls, recipients }: OpenList): Unsent => ({
  ...unsent,
  uploaded: { ...unsent.uploaded, [laneOf(cls)]: unsent.uploaded[laneOf(cls)] + recipients }
})
