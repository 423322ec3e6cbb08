/**
 * A day of mail in virtual time: what arrives when, what the provider takes for it, and three ways to bring it out. Ours is
 * the scheduler itself (`choose`, `listNext`); the other two are those of `Baselines.ts`.
 */
import {
  type Candidate,
  choose,
  type Credit,
  type DispatchInput,
  type Group,
  listNext,
  settle,
  type Shares
} from "@hikyaku/domain/delivery/Dispatch"
import { freeSlots, noCounts, type Operation, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Ledger } from "./Ledger.ts"
import { randomFrom } from "./Mix.ts"
import { VirtualTime } from "./VirtualTime.ts"

const minute = 60_000
const hour = 60 * minute
export const dayMs = 24 * hour

/** What this provider takes, ms. */
const takes = {
  upload: (recipients: number) => 1_000 + 40 * recipients,
  send: 1_000,
  status: 300,
  /** From the acceptance of a send until it is completed. */
  sending: (recipients: number) => 2_000 + 2 * recipients,
  listSize: 1_000
}
/** Slot time that a list needs at the least. */
const workOf = (recipients: number) => takes.upload(recipients) + takes.send + takes.status

export interface Mail {
  readonly id: string
  readonly class: "batch" | "realtime"
  readonly at: number
  readonly recipients: number
}

/** `mails` in a day: nine in ten in batches at the hours at which shops send, the others one by one by the hour of the day. */
export const dayOf = (seed: number, mails: number): ReadonlyArray<Mail> => {
  const random = randomFrom(seed)
  const slots = [7, 8, 9, 9, 12, 12, 15, 18, 18, 20, 21]
  const weights = slots.map(() => 0.3 + random())
  const sum = weights.reduce((a, b) => a + b, 0)
  const batches = slots.map((at, n): Mail => ({
    id: `batch${n}`,
    class: "batch",
    at: at * hour + Math.floor(random() * 5 * minute),
    recipients: Math.round(0.9 * mails * weights[n]! / sum)
  }))
  // Few at night, most in the evening.
  const shape = (at: number) => 0.15 + 0.85 * Math.sin(Math.PI * Math.min(1, Math.max(0, (at / hour - 5) / 19))) ** 2
  const singles: Array<Mail> = []
  while (singles.length < 0.1 * mails) {
    const at = random() * dayMs
    if (random() < shape(at)) {
      singles.push({ id: `now${singles.length}`, class: "realtime", at: Math.floor(at), recipients: 1 })
    }
  }
  return [...batches, ...singles].toSorted((a, b) => a.at - b.at)
}

/** A list on its way. */
interface List {
  readonly id: string
  readonly mail: Mail
  readonly recipients: number
  readonly since: number
  stage: "queued" | "uploaded" | "sent"
  dueAt: number
}

const request = (time: VirtualTime, ledger: Ledger, cls: Mail["class"], ms: number, done: () => void): void => {
  ledger.started(cls, ms)
  time.after(ms, () => {
    ledger.ended()
    done()
  })
}

const listsOf = (mail: Mail): ReadonlyArray<number> =>
  Array.from(
    { length: Math.ceil(mail.recipients / takes.listSize) },
    (_, n) => Math.min(takes.listSize, mail.recipients - n * takes.listSize)
  )

type Way = (mails: ReadonlyArray<Mail>, limit: number) => Ledger

const shares: Shares = { batch: 0.2, ageMs: 600_000 }
/** Candidates of a class that are looked at: more than can start at one time. */
const lookMax = 64

/** Ours: whenever something arrives or ends, the scheduler chooses what starts. */
export const scheduled: Way = (mails, limit) => {
  const time = new VirtualTime()
  const ledger = new Ledger(time, limit)
  const concurrency = { ...unbounded, total: limit }
  const waiting = new Map<string, { readonly mail: Mail; left: number }>()
  const lines = { batch: new Set<List>(), realtime: new Set<List>() }
  let inFlight = { ...noCounts }
  let credit: Credit = noCounts
  let made = 0

  const makeLists = () => {
    const groups: Array<Group> = []
    for (const [id, { left, mail }] of waiting) {
      if (groups.length >= lookMax) break
      groups.push({
        id,
        class: mail.class,
        latestStart: mail.at + 4 * hour,
        since: mail.at,
        priority: 0,
        full: left >= takes.listSize
      })
    }
    const queued = { batch: 0, realtime: 0 }
    for (const cls of ["batch", "realtime"] as const) {
      for (const list of lines[cls]) if (list.stage === "queued") queued[cls]++
    }
    for (const { id } of listNext(groups, queued, freeSlots(concurrency, inFlight, "upload"), 2, shares)) {
      const one = waiting.get(id)
      if (one === undefined) continue
      const recipients = Math.min(takes.listSize, one.left)
      one.left -= recipients
      if (one.left === 0) waiting.delete(id)
      const list: List = { id: `l${made++}`, mail: one.mail, recipients, since: one.mail.at, stage: "queued", dueAt: 0 }
      lines[one.mail.class].add(list)
    }
  }
  const operationOf = (list: List): Operation =>
    list.stage === "queued" ? "upload" : list.stage === "uploaded" ? "send" : "status"
  const turn = () => {
    makeLists()
    const candidates: Array<Candidate> = []
    const byId = new Map<string, List>()
    for (const cls of ["realtime", "batch"] as const) {
      let seen = 0
      for (const list of lines[cls]) {
        if (list.dueAt > time.now) continue
        if (seen++ >= lookMax) break
        byId.set(list.id, list)
        candidates.push({
          id: list.id,
          operation: operationOf(list),
          class: cls,
          latestStart: list.mail.at + 4 * hour,
          deadline: null,
          since: list.since,
          priority: 0
        })
      }
    }
    const input: DispatchInput = { candidates, inFlight, concurrency, shares, credit, now: time.now }
    const choice = choose(input)
    credit = settle(input, choice, new Set(choice.start.map(({ id }) => id)))
    for (const { id, operation } of choice.start) {
      const list = byId.get(id)
      if (list === undefined) continue
      const { mail, recipients } = list
      const line = lines[mail.class]
      line.delete(list)
      inFlight = { ...inFlight, [operation]: inFlight[operation] + 1 }
      if (operation === "upload") ledger.began(mail, recipients)
      const ms = operation === "upload" ? takes.upload(recipients) : operation === "send" ? takes.send : takes.status
      request(time, ledger, mail.class, ms, () => {
        inFlight = { ...inFlight, [operation]: inFlight[operation] - 1 }
        if (operation === "status") ledger.completed(mail, recipients)
        else {
          list.stage = operation === "upload" ? "uploaded" : "sent"
          line.add(list)
          if (operation === "send") {
            // Asked for a little after it is expected to be through, as the dispatcher does.
            list.dueAt = time.now + 1.1 * takes.sending(recipients)
            time.at(list.dueAt, turn)
          }
        }
        turn()
      })
    }
  }
  for (const mail of mails) {
    time.at(mail.at, () => {
      ledger.arrived(mail)
      waiting.set(mail.id, { mail, left: mail.recipients })
      turn()
    })
  }
  time.run()
  return ledger
}

/** So many at a time, in the order in which they ask. */
const permits = (limit: number) => {
  const queue: Array<() => void> = []
  let free = limit
  return {
    take: (work: () => void): void => {
      if (free > 0) {
        free--
        work()
      } else queue.push(work)
    },
    give: (): void => {
      const next = queue.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

/**
 * The workflow: requests start every 3 minutes, what is uploaded is sent every 5, one request is finished before the next.
 * Realtime mails that wait at one time are taken for one request: alone each would wait for the answer to the one before.
 */
export const workflow: Way = (mails, limit) => {
  const time = new VirtualTime()
  const ledger = new Ledger(time, limit)
  const slots = permits(limit)
  const waiting: Array<Mail> = []
  const uploaded: Array<Mail> = []
  let open = mails.length
  type Step = (mail: Mail, recipients: number, done: () => void) => void
  const ask = (mail: Mail, ms: number, done: () => void, begin?: () => void) =>
    slots.take(() => {
      begin?.()
      request(time, ledger, mail.class, ms, () => {
        slots.give()
        done()
      })
    })
  const inTurn = (requests: Array<ReadonlyArray<Mail>>, step: Step, each: (mail: Mail) => void, then: () => void) => {
    const mine = requests.shift()
    if (mine === undefined) return then()
    const lists = mine.flatMap((mail) => listsOf(mail).map((recipients) => ({ mail, recipients })))
    let left = lists.length
    for (const { mail, recipients } of lists) {
      step(mail, recipients, () => {
        if (--left > 0) return
        for (const one of mine) each(one)
        inTurn(requests, step, each, then)
      })
    }
  }
  const job = (every: number, queue: Array<Mail>, step: Step, each: (mail: Mail) => void) => {
    const run = () => {
      if (open === 0) return
      const mine = queue.splice(0)
      const singles = mine.filter((mail) => mail.class === "realtime")
      const requests = mine.filter((mail) => mail.class === "batch").map((mail): ReadonlyArray<Mail> => [mail])
      if (singles.length > 0) requests.push(singles)
      inTurn(requests, step, each, () => time.at((Math.floor(time.now / every) + 1) * every, run))
    }
    time.at(every, run)
  }
  job(
    3 * minute,
    waiting,
    (mail, recipients, done) => ask(mail, takes.upload(recipients), done, () => ledger.began(mail, recipients)),
    (mail) => uploaded.push(mail)
  )
  job(
    5 * minute,
    uploaded,
    (mail, recipients, done) =>
      ask(mail, takes.send, () =>
        time.after(takes.sending(recipients), () =>
          ask(mail, takes.status, () => {
            ledger.completed(mail, recipients)
            done()
          }))),
    () => open--
  )
  for (const mail of mails) {
    time.at(mail.at, () => {
      ledger.arrived(mail)
      waiting.push(mail)
    })
  }
  time.run()
  return ledger
}

/** A pool of workers; each takes the oldest list and stays with it until it is completed. */
export const pool: Way = (mails, limit) => {
  const time = new VirtualTime()
  const ledger = new Ledger(time, limit)
  const workers = permits(limit)
  for (const mail of mails) {
    time.at(mail.at, () => {
      ledger.arrived(mail)
      for (const recipients of listsOf(mail)) {
        workers.take(() => {
          ledger.began(mail, recipients)
          request(
            time,
            ledger,
            mail.class,
            takes.upload(recipients),
            () =>
              request(
                time,
                ledger,
                mail.class,
                takes.send,
                () =>
                  time.after(takes.sending(recipients), () =>
                    request(time, ledger, mail.class, takes.status, () => {
                      ledger.completed(mail, recipients)
                      workers.give()
                    }))
              )
          )
        })
      }
    })
  }
  time.run()
  return ledger
}

/** The least time from its arrival in which a batch could be through, if it had the provider to itself. */
export const leastMs = (mail: Mail, limit: number): number => {
  const lists = listsOf(mail)
  return Math.max(
    lists.reduce((sum, recipients) => sum + workOf(recipients), 0) / limit,
    workOf(lists[0] ?? 0) + takes.sending(lists[0] ?? 0)
  )
}
