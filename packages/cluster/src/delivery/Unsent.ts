/**
 * How limits on messages bound what is listed and uploaded ahead of its turn: a list gives its place in the order away, and
 * what cannot be sent yet is better left where a more urgent one can still overtake it. Pure.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import { listSizeOf } from "@hikyaku/domain/delivery/MessageRate"
import { type Limits, slotsMax } from "@hikyaku/domain/delivery/RateLimit"
import type { Speed } from "@hikyaku/domain/delivery/Request"
import type { OpenList } from "./DeliveryStore.ts"
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

/** Messages in lists that are not sent, by class: all of them, and those that are at the provider. */
export interface Unsent {
  readonly listed: Record<DeliveryClass, number>
  readonly uploaded: Record<DeliveryClass, number>
}
/** `uploading`: lists whose uploads are granted, which the others may still tell as queued. */
export const unsentOf = (lists: ReadonlyArray<OpenList>, uploading: ReadonlyMap<string, OpenList>): Unsent => {
  const unsent: Unsent = { listed: { realtime: 0, batch: 0 }, uploaded: { realtime: 0, batch: 0 } }
  const add = ({ class: cls, recipients }: OpenList, uploaded: boolean) => {
    unsent.listed[laneOf(cls)] += recipients
    if (uploaded) unsent.uploaded[laneOf(cls)] += recipients
  }
  for (const list of uploading.values()) add(list, true)
  for (const list of lists) {
    if (uploading.has(list.id)) continue
    const { status } = list.state
    // An upload in doubt may be there, and its list is sent then.
    if (status === "uploaded" || (status === "unknown" && list.state.of === "upload")) add(list, true)
    else if (status === "queued") add(list, false)
  }
  return unsent
}

/** Messages that each class may still list, so that none is listed long before its turn; null for no limit. */
export const mayList = (
  { listed }: Unsent,
  { batch, realtime }: ReturnType<SlotDesk<unknown>["leftOfDay"]>
): Readonly<Record<DeliveryClass, number | null>> => ({
  realtime: realtime === null ? null : realtime - listed.realtime,
  batch: batch === null ? null : batch - listed.batch - listed.realtime
})

/** Whether a class may upload more: what is uploaded and cannot be sent yet has given its place in the order away. */
export const mayUpload = ({ uploaded }: Unsent, { messages }: Limits, cls: DeliveryClass): boolean => {
  const perSecond = messages?.perSecond ?? null
  return perSecond === null || uploaded[cls] < perSecond * uploadedSeconds
}
