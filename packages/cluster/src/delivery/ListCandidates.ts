/** Which request a list is waiting for, and how its slot is asked for. What goes first is not decided here (`Dispatch`). */
import { type Candidate, latestStart } from "@hikyaku/domain/delivery/Dispatch"
import { slotOf } from "@hikyaku/domain/delivery/List"
import type { Operation } from "@hikyaku/domain/delivery/RateLimit"
import { Duration } from "effect"
import type { OpenList } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import type { ListContents } from "./ListContent.ts"
import { laneOf } from "./ListMaking.ts"
import type { ListRequests, Work } from "./ListRequests.ts"
import type { ProviderPromises } from "./Provider.ts"
import type { Ask } from "./SlotDesk.ts"

/** What has longer than this until its latest start, ms, may wait for the last uploads: they take seconds. */
export const patienceMs = 60_000
/** Added to a request's longest time when its slot is asked for, ms: for the clocks of both sides. */
const slackMs = 250

export interface Candidates {
  /** The list's next request at `now`, by the shop's clock; null when there is none, or when its content is not there yet. */
  readonly candidateOf: (list: OpenList, now: number) => Candidate | null
  /** Asks for the slot of a candidate's request. Each ask is for a slot of its own. */
  readonly askOf: (candidate: Candidate, list: OpenList) => Ask<Work>
  /** From its start on a request is over after so long, ms. */
  readonly endsWithinMs: number
  /** For how long a send may still be repeated with its key, ms; a send of which nobody knows when it began has nothing left. */
  readonly repeatableFor: (list: OpenList) => number
}

/** `listSize`: recipients of a list by the account's limits, as of now. */
export const makeCandidates = (
  settings: Pick<DispatcherSettings, "leaseMs" | "pollsMax">,
  promises: ProviderPromises,
  requests: Pick<ListRequests, "pace">,
  contents: Pick<ListContents, "get" | "isPreparing">,
  listSize: () => number
): Candidates => {
  const endsWithinMs = Duration.toMillis(promises.requestTimeout) +
    Duration.toMillis(promises.longestProcessingTime) +
    slackMs
  /** How long a send may be repeated with its key, ms: the repeat must be over by then. */
  const repeatableMs = promises.retryKeyValidity === undefined
    ? Number.POSITIVE_INFINITY
    : Duration.toMillis(promises.retryKeyValidity) - Duration.toMillis(promises.requestTimeout)
  let asked = 0

  const candidateOf = (list: OpenList, now: number): Candidate | null => {
    // The same for all that a list needs: at equal urgency what finishes work goes before what begins more.
    const latest = latestStart(list.deadline, list.recipients, requests.pace().upload, listSize(), 1)
    const one = (operation: Operation, deadline: number | null): Candidate => ({
      id: list.id,
      operation,
      class: laneOf(list.class),
      latestStart: latest,
      deadline,
      since: list.since,
      priority: list.priority,
      patient: laneOf(list.class) === "batch" && latest - now > patienceMs
    })
    switch (list.state.status) {
      case "queued":
        // Realtime that is being rendered keeps its place; batch waits outside.
        return contents.get(list.id) === undefined &&
            (laneOf(list.class) === "batch" || !contents.isPreparing(list.id))
          ? null
          : one("upload", list.deadline)
      case "uploaded":
        return one("send", list.deadline)
      case "sent":
        return one(
          list.polls >= settings.pollsMax && list.polls % 2 === 0 && promises.reconciliation === "history"
            ? "history"
            : "status",
          null
        )
      case "unknown":
        return one("history", null)
      default:
        return null
    }
  }

  const askOf = ({ class: cls, id, operation }: Candidate, list: OpenList): Ask<Work> => ({
    slot: {
      id: slotOf(
        id,
        operation,
        list.state.attempt + (operation === "upload" || operation === "send" ? 1 : 0),
        ++asked
      ),
      operation,
      class: cls,
      leaseMs: settings.leaseMs,
      endsWithinMs,
      ...(operation === "send" && { messages: list.recipients })
    },
    work: { list, operation }
  })

  return {
    candidateOf,
    askOf,
    endsWithinMs,
    repeatableFor: ({ sendAgeMs }) =>
      repeatableMs === Number.POSITIVE_INFINITY ? repeatableMs : repeatableMs - (sendAgeMs ?? repeatableMs)
  }
}
