/**
 * The provider sandbox as a state machine: a bulk mail provider with announced limits, a history, and faults on demand.
 * Time and nothing else comes from outside; randomness follows from the seed. Decisions return entries and change nothing;
 * `apply` folds an entry into the state. So the state of a dead process is its record, folded again.
 */
import { Either, Hash, Schema } from "effect"
import { type History, historyLookupMax, type HistoryQuery, type Recipient, type SendStatus } from "../Provider.ts"
import { type Ended, recordFormat, type SandboxEntry, type SendAccepted, type Started } from "./SandboxEntry.ts"
import { SandboxMailroom } from "./SandboxMailroom.ts"
import type { MailSeen, RequestSeen, SandboxReport } from "./SandboxReport.ts"
import {
  defaultSettings,
  draw,
  type Fault,
  latencyOf,
  type Operation,
  type SandboxSettings
} from "./SandboxSettings.ts"
import { SandboxTraffic } from "./SandboxTraffic.ts"

/** What a client asks, once its request was read. */
export type SandboxRequest =
  | {
    readonly op: "upload"
    readonly listId: string
    readonly channel: string
    readonly mailKey: string
    readonly template?: string | undefined
    readonly recipients: ReadonlyArray<Recipient>
    /** "": none was given. */
    readonly idempotencyKey: string
  }
  | { readonly op: "send"; readonly uploadId: string; readonly idempotencyKey: string }
  | { readonly op: "status"; readonly sendId: string }
  | { readonly op: "history"; readonly query: HistoryQuery }

/** What the address and the headers of a send tell, before it is read. */
export type SendTerms = Pick<Extract<SandboxRequest, { readonly op: "send" }>, "uploadId" | "idempotencyKey">

/** The request cannot be carried out, and never could. */
export class RequestRefused extends Schema.TaggedError<RequestRefused>()("RequestRefused", {
  /** As in HTTP: 400 unreadable, 404 unknown, 413 too large, 422 not acceptable, 507 the sandbox is full. */
  status: Schema.Int,
  reason: Schema.String,
  where: Schema.String
}) {}

/** What the client is told when its request was carried out. */
export type SandboxAnswer = { readonly uploadId: string } | { readonly sendId: string } | SendStatus | History

interface Decision {
  readonly entries: ReadonlyArray<SandboxEntry>
  readonly status: number
  readonly answer: SandboxAnswer
}

/** Purposes of draws: each its own stream of numbers. */
const purpose = {
  throttle: 1,
  failBefore: 2,
  failAfter: 3,
  cut: 4,
  halfOpen: 5,
  latency: 6,
  shape: 7,
  send: 8,
  row: 100
}

const requestFaults: ReadonlyArray<readonly ["throttle" | "failBefore" | "failAfter" | "cut" | "halfOpen", Fault]> = [
  ["throttle", "throttle"],
  ["failBefore", "fail-before"],
  ["failAfter", "fail-after"],
  ["cut", "cut"],
  ["halfOpen", "half-open"]
]

/** A mail address as far as the sandbox cares; those at `bounce.invalid` come back, at `reject.invalid` are not tried. */
const mailAddress = /^[^\s@]+@[^\s@]+$/

export class Sandbox {
  settings: SandboxSettings = defaultSettings
  private traffic: SandboxTraffic
  private mailroom = new SandboxMailroom()
  private requests = 0
  private processes = 0
  private since: number
  private last: number
  /** When latencies were last lengthened by a slow start. */
  private slowSince: number

  constructor(now: number) {
    this.since = now
    this.last = now
    this.slowSince = now
    this.traffic = new SandboxTraffic(now)
  }

  /** Folds an entry into the state. The record's order is the only order there is. */
  apply(entry: SandboxEntry): void {
    this.last = Math.max(this.last, entry.at)
    switch (entry.t) {
      case "opened":
        if (this.processes++ === 0) this.since = entry.at
        this.slowSince = entry.at
        return this.traffic.reopened(entry.at)
      case "settings":
        this.traffic.integrate(entry.at, this.settings)
        this.traffic.faultsDone = 0
        this.settings = entry.settings
        return
      case "reset":
        this.traffic.integrate(entry.at, this.settings)
        this.traffic = this.traffic.reset(entry.at)
        this.mailroom = new SandboxMailroom()
        this.processes = 1
        this.since = entry.at
        this.slowSince = entry.at
        return
      case "start":
        this.requests = Math.max(this.requests, entry.n)
        return this.traffic.started(entry, this.settings)
      case "end":
        return this.traffic.ended(entry, this.settings)
      // What is under way took until this instant too, also when a death leaves no later line.
      case "list":
        this.traffic.integrate(entry.at, this.settings)
        return this.mailroom.list(entry)
      case "send":
        this.traffic.integrate(entry.at, this.settings)
        return this.mailroom.send(entry)
    }
  }

  /** The instant as the record counts it: never earlier than what was recorded last. */
  instant(now: number): number {
    return Math.max(this.last, now)
  }

  opened(now: number): SandboxEntry {
    return { t: "opened", at: this.instant(now), format: recordFormat }
  }

  /** A request has arrived. */
  start(op: Operation, now: number, send?: SendTerms): Started {
    const at = this.instant(now)
    const n = this.requests + 1
    const messages = send === undefined ? 0 : this.messagesOf(send)
    const breach = this.traffic.breach(op, at, this.settings, messages)
    const fault = breach === undefined ? this.faultOf(op, n) : undefined
    return {
      t: "start",
      n,
      at,
      op,
      ...(messages > 0 && { messages }),
      ...(breach && { breach }),
      ...(fault && { fault })
    }
  }

  /** A repeat that gets the first answer sends nothing. */
  private messagesOf({ idempotencyKey, uploadId }: SendTerms): number {
    const isRepeat = this.settings.idempotency && idempotencyKey !== "" &&
      this.mailroom.sendOfKey(idempotencyKey) !== undefined
    return isRepeat ? 0 : this.mailroom.upload(uploadId)?.rows.length ?? 0
  }

  end(n: number, status: number, now: number): Ended {
    return { t: "end", n, at: this.instant(now), status }
  }

  /** How long the request takes, in ms; `recipients`: of the list it uploads. */
  latency({ at, n, op }: Started, recipients: number): number {
    const { latency, seed, slowStart, uploadPerRecipientMs } = this.settings
    const age = at - this.slowSince
    const factor = age >= slowStart.forMs ? 1 : slowStart.factor - (slowStart.factor - 1) * (age / slowStart.forMs)
    const base = latencyOf(latency[op], draw(seed, n, purpose.latency), draw(seed, n, purpose.shape))
    return factor * (base + recipients * uploadPerRecipientMs)
  }

  /** Carries out the request numbered `n`. */
  decide(n: number, request: SandboxRequest, now: number): Either.Either<Decision, RequestRefused> {
    const at = this.instant(now)
    switch (request.op) {
      case "upload":
        return this.decideUpload(n, request, at)
      case "send":
        return this.decideSend(n, request.uploadId, request.idempotencyKey, at)
      case "status": {
        const answer = this.mailroom.status(request.sendId, at)
        return answer === undefined
          ? refuse(404, "no such send", "sendId")
          : Either.right({ entries: [], status: 200, answer })
      }
      case "history": {
        const asked = request.query._tag === "Deliveries"
          ? request.query.deliveryIds.length
          : request.query._tag === "Recipients"
          ? request.query.addresses.length
          : 0
        if (asked > historyLookupMax) return refuse(413, `at most ${historyLookupMax} in one request`, "query")
        const answer = this.mailroom.history(request.query, at, at - this.settings.historyLagMs)
        return Either.right({ entries: [], status: 200, answer })
      }
    }
  }

  report(now: number): SandboxReport {
    this.traffic.integrate(this.instant(now), this.settings)
    const { concurrency, messages, perSecond } = this.settings
    return {
      since: this.since,
      processes: this.processes,
      limits: { concurrency, perSecond, messages },
      ...this.traffic.report(),
      ...this.mailroom.report()
    }
  }
  requestsSeen(after: number, limit: number): ReadonlyArray<RequestSeen> {
    return this.traffic.page(after, limit)
  }
  mailsSeen(from: number, limit: number): ReadonlyArray<MailSeen> {
    return this.mailroom.mails(from, limit)
  }

  private faultOf(op: Operation, n: number): Fault | undefined {
    const { faults, faultsMax, faultsOn, seed } = this.settings
    if (!faultsOn.includes(op) || (faultsMax !== null && this.traffic.faultsDone >= faultsMax)) return undefined
    return requestFaults.find(([name]) => draw(seed, n, purpose[name]) < faults[name])?.[1]
  }

  private decideUpload(n: number, request: SandboxRequest & { readonly op: "upload" }, at: number) {
    const { listSizeMax, recipientsMax } = this.settings
    const { recipients } = request
    if (recipients.length === 0) return refuse(422, "a list needs a recipient", "recipients")
    if (recipients.length > listSizeMax) return refuse(413, `at most ${listSizeMax} recipients in a list`, "recipients")
    const key = this.settings.idempotency ? request.idempotencyKey : ""
    const print = Hash.string(
      JSON.stringify([request.listId, request.channel, request.mailKey, request.template ?? null, recipients])
    )
    const earlier = key === "" ? undefined : this.mailroom.uploadOfKey(key)
    if (earlier !== undefined) {
      return earlier.print === print
        ? accept(201, { uploadId: `u-${earlier.n}` })
        : refuse(422, "this key came with other content before", "idempotencyKey")
    }
    if (this.mailroom.recipients + recipients.length > recipientsMax) {
      return refuse(507, `the sandbox remembers at most ${recipientsMax} recipients: reset it`, "recipients")
    }
    const rows = recipients.map(({ address, deliveryId, mailKey }) =>
      mailKey === undefined || mailKey === request.mailKey
        ? [deliveryId, address] as const
        : [deliveryId, address, mailKey] as const
    )
    const { channel, listId, mailKey } = request
    return accept(201, { uploadId: `u-${n}` }, { t: "list", n, at, listId, channel, mailKey, key, print, rows })
  }

  private decideSend(n: number, uploadId: string, idempotencyKey: string, at: number) {
    const list = this.mailroom.upload(uploadId)
    if (list === undefined) return refuse(404, "no such upload", "uploadId")
    const key = this.settings.idempotency ? idempotencyKey : ""
    const earlier = key === "" ? undefined : this.mailroom.sendOfKey(key)
    if (earlier !== undefined) {
      return earlier.uploadId === uploadId
        ? accept(202, { sendId: `s-${earlier.n}` })
        : refuse(422, "this key came with another upload before", "idempotencyKey")
    }
    const { faults, seed, sendDuration } = this.settings
    const dice = (which: number) => draw(seed, n, purpose.send + which)
    const fate: SendAccepted["fate"] = dice(0) < faults.failSend
      ? "fails"
      : dice(1) < faults.neverCompletes
      ? "never-completes"
      : "completes"
    const bounced: Array<number> = []
    const rejected: Array<number> = []
    list.rows.forEach(([, address], index) => {
      const chance = draw(seed, n, purpose.row + index)
      if ((list.channel === "mail" && !mailAddress.test(address)) || address.endsWith("@reject.invalid")) {
        rejected.push(index)
      } else if (address.endsWith("@bounce.invalid")) bounced.push(index)
      else if (chance < faults.reject) rejected.push(index)
      else if (chance < faults.reject + faults.bounce) bounced.push(index)
    })
    return accept(202, { sendId: `s-${n}` }, {
      t: "send",
      n,
      at,
      uploadId,
      key,
      fate,
      copies: dice(2) < faults.duplicate ? 2 : 1,
      ...sendDuration,
      bounced,
      rejected
    })
  }
}

const refuse = (status: number, reason: string, where: string): Either.Either<Decision, RequestRefused> =>
  Either.left(new RequestRefused({ status, reason, where }))
const accept = (
  status: number,
  answer: SandboxAnswer,
  ...entries: ReadonlyArray<SandboxEntry>
): Either.Either<Decision, RequestRefused> => Either.right({ entries, status, answer })
