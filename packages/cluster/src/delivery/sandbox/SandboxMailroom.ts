/**
 * What the sandbox accepted and whom it sent what: lists, sends, the history, the count per recipient. A fold over the
 * record's `list` and `send` entries; nothing else may change it.
 *
 * Whom a send reaches is settled when it is accepted, so duplicates are counted at that moment: from then on nobody can
 * call the message back.
 */
import type { History, HistoryQuery, SendStatus } from "../Provider.ts"
import type { ListAccepted, SendAccepted } from "./SandboxEntry.ts"
import { duplicatesShownMax, type MailSeen } from "./SandboxReport.ts"

/** Most deliveries, and most lists and sends together, in one page of the history. */
export const historyPageMax = 10_000

interface Upload {
  readonly _tag: "Upload"
  readonly uploadId: string
  readonly entry: ListAccepted
  readonly sends: Array<Send>
}

interface Send {
  readonly _tag: "Send"
  readonly sendId: string
  readonly upload: Upload
  readonly entry: SendAccepted
  readonly bounced: ReadonlySet<number>
  readonly rejected: ReadonlySet<number>
}

interface Place {
  readonly upload: Upload
  readonly index: number
}

/** One address of one mail. */
interface Target {
  readonly mailKey: string
  readonly address: string
  copies: number
  injected: number
  readonly places: Array<Place>
}

type Item = Upload | Send
type DeliverySeen = History["deliveries"][number]

/** Mail addresses that differ in case reach the same person in practice; ids of other channels never differ in case alone. */
const targetKey = (mailKey: string, address: string) => `${mailKey}\u0000${address.toLowerCase()}`

const push = <K, V>(map: Map<K, Array<V>>, key: K, value: V): void => {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}

const rowMail = (upload: Upload, index: number): string => upload.entry.rows[index]?.[2] ?? upload.entry.mailKey

const sendState = (send: Send, now: number): SendStatus["state"] => {
  const { entry } = send
  if (now < entry.at + entry.baseMs) return "Queued"
  const done = entry.at + entry.baseMs + send.upload.entry.rows.length * entry.perRecipientMs
  if (entry.fate === "never-completes" || now < done) return "Sending"
  return entry.fate === "fails" ? "Failed" : "Completed"
}

/** When the message at this position of the list is dealt with. */
const dealtWithAt = (send: Send, index: number): number =>
  send.entry.at + send.entry.baseMs + (index + 1) * send.entry.perRecipientMs

const outcomeOf = (send: Send, index: number) => {
  if (send.rejected.has(index)) return { outcome: "Rejected" as const, reason: "address not accepted" }
  if (send.bounced.has(index)) return { outcome: "Bounced" as const, reason: "mailbox unavailable" }
  return { outcome: "Sent" as const }
}

const deliverySeen = (send: Send, index: number, now: number): DeliverySeen => {
  const row = send.upload.entry.rows[index]
  const base = {
    deliveryId: row?.[0] ?? "",
    mailKey: rowMail(send.upload, index),
    address: row?.[1] ?? "",
    sendId: send.sendId
  }
  const at = dealtWithAt(send, index)
  if (send.entry.fate === "fails") {
    return sendState(send, now) === "Failed"
      ? { ...base, state: "Failed", at, reason: "the send came to nothing" }
      : { ...base, state: "Accepted", at: send.entry.at }
  }
  if (now < at) return { ...base, state: "Accepted", at: send.entry.at }
  const { outcome, ...reason } = outcomeOf(send, index)
  return { ...base, state: outcome, at, ...reason }
}

const listSeen = (upload: Upload): History["lists"][number] => ({
  uploadId: upload.uploadId,
  listId: upload.entry.listId,
  mailKey: upload.entry.mailKey,
  recipients: upload.entry.rows.length,
  at: upload.entry.at
})

const sendSeen = (send: Send, now: number): History["sends"][number] => ({
  sendId: send.sendId,
  uploadId: send.upload.uploadId,
  listId: send.upload.entry.listId,
  state: sendState(send, now),
  at: send.entry.at
})

/** Where the next page begins: position among the items, position in the list. */
const readCursor = (cursor: string | undefined): readonly [number, number] => {
  const parts = /^(\d{1,12})\.(\d{1,12})$/.exec(cursor ?? "")
  return parts === null ? [0, 0] : [Number(parts[1]), Number(parts[2])]
}

export class SandboxMailroom {
  private readonly uploads = new Map<string, Upload>()
  private readonly sends = new Map<string, Send>()
  private readonly items: Array<Item> = []
  private readonly itemsOfList = new Map<string, Array<Item>>()
  private readonly itemsOfMail = new Map<string, Array<Item>>()
  private readonly places = new Map<string, Array<Place>>()
  private readonly targets = new Map<string, Target>()
  private readonly listKeys = new Map<string, Upload>()
  private readonly sendKeys = new Map<string, Send>()
  private uploaded = 0
  private mailed = 0
  private duplicated = 0
  private duplicatedPairs = 0
  private injected = 0
  private readonly shown: Array<Target> = []

  /** Recipients of accepted lists. */
  get recipients(): number {
    return this.uploaded
  }

  list(entry: ListAccepted): void {
    const upload: Upload = { _tag: "Upload", uploadId: `u-${entry.n}`, entry, sends: [] }
    this.uploads.set(upload.uploadId, upload)
    if (entry.key !== "") this.listKeys.set(entry.key, upload)
    this.file(upload, upload)
    this.uploaded += entry.rows.length
    entry.rows.forEach(([deliveryId, address], index) => {
      const place = { upload, index }
      push(this.places, deliveryId, place)
      const mailKey = rowMail(upload, index)
      const key = targetKey(mailKey, address)
      const target = this.targets.get(key)
      if (target === undefined) {
        this.targets.set(key, { mailKey, address, copies: 0, injected: 0, places: [place] })
      } else target.places.push(place)
    })
  }

  send(entry: SendAccepted): void {
    const upload = this.uploads.get(entry.uploadId)
    if (upload === undefined) return
    for (let copy = 0; copy < entry.copies; copy++) {
      const send: Send = {
        _tag: "Send",
        sendId: `s-${entry.n}${copy === 0 ? "" : "-double"}`,
        upload,
        entry,
        bounced: new Set(entry.bounced),
        rejected: new Set(entry.rejected)
      }
      upload.sends.push(send)
      this.sends.set(send.sendId, send)
      if (copy === 0 && entry.key !== "") this.sendKeys.set(entry.key, send)
      this.file(send, upload)
      if (entry.fate !== "fails") this.countMails(send, copy > 0)
    }
  }

  upload(uploadId: string): ListAccepted | undefined {
    return this.uploads.get(uploadId)?.entry
  }
  uploadOfKey(key: string): ListAccepted | undefined {
    return this.listKeys.get(key)?.entry
  }
  sendOfKey(key: string): SendAccepted | undefined {
    return this.sendKeys.get(key)?.entry
  }

  status(sendId: string, now: number): SendStatus | undefined {
    const send = this.sends.get(sendId)
    if (send === undefined) return undefined
    const state = sendState(send, now)
    if (state !== "Completed") return { state, results: [] }
    return {
      state,
      results: send.upload.entry.rows.map(([deliveryId], index) => ({
        deliveryId,
        at: dealtWithAt(send, index),
        ...outcomeOf(send, index)
      }))
    }
  }

  /** `visibleTo`: what was accepted later is not in the history yet. */
  history(query: HistoryQuery, now: number, visibleTo: number): History {
    switch (query._tag) {
      case "Deliveries":
        return this.lookUp(query.deliveryIds.flatMap((id) => this.places.get(id) ?? []), now, visibleTo)
      case "Recipients": {
        const places = query.addresses.flatMap((address) =>
          this.targets.get(targetKey(query.mailKey, address))?.places ?? []
        )
        return this.lookUp(places, now, visibleTo)
      }
      case "List":
        return this.page(this.itemsOfList.get(query.listId) ?? [], readCursor(query.cursor), now, visibleTo)
      case "Mail":
        return this.page(
          this.itemsOfMail.get(query.mailKey) ?? [],
          readCursor(query.cursor),
          now,
          visibleTo,
          query.mailKey
        )
      case "Since": {
        const first = this.items.findIndex((item) => item.entry.at >= query.since)
        const [item, row] = readCursor(query.cursor)
        const from = query.cursor === undefined
          ? [first < 0 ? this.items.length : first, 0] as const
          : [item, row] as const
        return this.page(this.items, from, now, visibleTo)
      }
    }
  }

  /** Pairs of mail and address from position `from` on, in order of their first upload. */
  mails(from: number, limit: number): ReadonlyArray<MailSeen> {
    const page: Array<MailSeen> = []
    let position = 0
    for (const { mailKey, address, copies, injected } of this.targets.values()) {
      if (position++ < from) continue
      if (page.length === limit) break
      page.push({ mailKey, address, copies, injected })
    }
    return page
  }

  report() {
    return {
      lists: this.uploads.size,
      sends: this.sends.size,
      uploaded: this.uploaded,
      mailed: this.mailed,
      duplicates: {
        total: this.duplicated,
        pairs: this.duplicatedPairs,
        injected: this.injected,
        shown: this.shown.map(({ mailKey, address, copies, injected }): MailSeen => ({
          mailKey,
          address,
          copies,
          injected
        }))
      }
    }
  }

  private file(item: Item, upload: Upload): void {
    this.items.push(item)
    push(this.itemsOfList, upload.entry.listId, item)
    const mails = new Set([upload.entry.mailKey])
    for (const row of upload.entry.rows) if (row[2] !== undefined) mails.add(row[2])
    for (const mail of mails) push(this.itemsOfMail, mail, item)
  }

  private countMails(send: Send, injected: boolean): void {
    send.upload.entry.rows.forEach(([, address], index) => {
      if (send.bounced.has(index) || send.rejected.has(index)) return
      const target = this.targets.get(targetKey(rowMail(send.upload, index), address))
      if (target === undefined) return
      target.copies++
      if (target.copies === 1) this.mailed++
      if (injected) {
        target.injected++
        this.injected++
      } else if (target.copies - target.injected > 1) {
        this.duplicated++
        if (target.copies - target.injected === 2) {
          this.duplicatedPairs++
          if (this.shown.length < duplicatesShownMax) this.shown.push(target)
        }
      }
    })
  }

  private lookUp(places: ReadonlyArray<Place>, now: number, visibleTo: number): History {
    const uploads = new Set<Upload>()
    const sends = new Set<Send>()
    const deliveries: Array<DeliverySeen> = []
    for (const { index, upload } of places) {
      if (upload.entry.at <= visibleTo) uploads.add(upload)
      for (const send of upload.sends) {
        if (send.entry.at > visibleTo) continue
        sends.add(send)
        deliveries.push(deliverySeen(send, index, now))
      }
    }
    return { lists: [...uploads].map(listSeen), sends: [...sends].map((send) => sendSeen(send, now)), deliveries }
  }

  private page(
    items: ReadonlyArray<Item>,
    [firstItem, firstRow]: readonly [number, number],
    now: number,
    visibleTo: number,
    mailKey?: string
  ): History {
    const lists: Array<History["lists"][number]> = []
    const sends: Array<History["sends"][number]> = []
    const deliveries: Array<DeliverySeen> = []
    const full = (next: string): History => ({ lists, sends, deliveries, next })
    for (let position = firstItem; position < items.length; position++) {
      const item = items[position]
      if (item === undefined || item.entry.at > visibleTo) break
      if (lists.length + sends.length === historyPageMax) return full(`${position}.0`)
      if (item._tag === "Upload") {
        lists.push(listSeen(item))
        continue
      }
      const start = position === firstItem ? firstRow : 0
      sends.push(sendSeen(item, now))
      for (let row = start; row < item.upload.entry.rows.length; row++) {
        if (deliveries.length === historyPageMax) return full(`${position}.${row}`)
        if (mailKey === undefined || rowMail(item.upload, row) === mailKey) {
          deliveries.push(deliverySeen(item, row, now))
        }
      }
    }
    return { lists, sends, deliveries }
  }
}
