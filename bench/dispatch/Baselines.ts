/**
 * Two senders to compare with, built from the published description of the platform that was replaced and from what one
 * writes first. Both speak to the provider directly, keep nothing in a store, and know the limit: all that could slow them
 * is their order of work.
 */
import { deliveryOf, type MailRequest, memberOf, provider } from "./Mix.ts"

/** What a minute of the published system is in these benches, ms: so that an hour's batch takes half a minute. */
export const minuteMs = 450
/** The batch workflow starts requests and sends what is uploaded at these intervals. */
const startEvery = 3 * minuteMs
const sendEvery = 5 * minuteMs
/** Between two questions about a send. */
const pollMs = 250

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** So many at a time, in the order in which they ask. */
class Permits {
  private readonly queue: Array<() => void> = []
  private free: number
  constructor(permits: number) {
    this.free = permits
  }
  async with<A>(work: () => Promise<A>): Promise<A> {
    if (this.free > 0) this.free--
    else await new Promise<void>((resolve) => this.queue.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.queue.shift()
      if (next === undefined) this.free++
      else next()
    }
  }
}

interface List {
  readonly mail: string
  readonly from: number
  readonly size: number
}

const listsOf = ({ id, recipients }: MailRequest): ReadonlyArray<List> =>
  Array.from({ length: Math.ceil(recipients / provider.listSize) }, (_, n) => ({
    mail: id,
    from: n * provider.listSize,
    size: Math.min(provider.listSize, recipients - n * provider.listSize)
  }))

/** The provider's interface, nothing more. */
class Client {
  private readonly url: string
  constructor(url: string) {
    this.url = url
  }
  private async ask<A>(method: string, path: string, body?: object): Promise<A> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } })
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }
  async upload({ from, mail, size }: List): Promise<string> {
    const recipients = Array.from({ length: size }, (_, n) => ({
      deliveryId: deliveryOf(mail, from + n),
      address: `${memberOf(mail, from + n)}@shop.example`,
      subject: "Hello",
      content: { text: "Hello" }
    }))
    const list = { listId: `${mail}/${from}`, channel: "mail", mailKey: mail, recipients }
    return (await this.ask<{ readonly uploadId: string }>("POST", "/v1/lists", list)).uploadId
  }
  async send(uploadId: string): Promise<string> {
    return (await this.ask<{ readonly sendId: string }>("POST", `/v1/lists/${uploadId}/send`, {})).sendId
  }
  async isDone(sendId: string): Promise<boolean> {
    return (await this.ask<{ readonly state: string }>("GET", `/v1/sends/${sendId}`)).state === "Completed"
  }
}

/** Hands the mails over as they become due. */
const arrive = async (mix: ReadonlyArray<MailRequest>, startAt: number, take: (mail: MailRequest) => void) => {
  for (const mail of mix) {
    await sleep(Math.max(0, startAt + mail.arrivesMs - Date.now()))
    take(mail)
  }
}

/**
 * The batch workflow: every 3 minutes a job uploads the requests that wait, one after the other; every 5 minutes another one
 * sends what is uploaded and waits for its completion, one request after the other. A job that is still at it is not started
 * again. Each request's own lists are worked on in parallel, up to the limit.
 */
export const batchWorkflow = async (
  url: string,
  mix: ReadonlyArray<MailRequest>,
  startAt: number,
  concurrency: number
): Promise<void> => {
  const client = new Client(url)
  const slots = new Permits(concurrency)
  const waiting: Array<MailRequest> = []
  const uploaded: Array<ReadonlyArray<string>> = []
  let left = mix.length
  const job = async (every: number, work: () => Promise<void>) => {
    for (
      let next = startAt;;
      next = Math.max(next + every, startAt + Math.ceil((Date.now() - startAt) / every) * every)
    ) {
      await sleep(Math.max(0, next - Date.now()))
      if (left === 0) return
      await work()
    }
  }
  const start = async () => {
    for (const mail of waiting.splice(0)) {
      uploaded.push(await Promise.all(listsOf(mail).map((list) => slots.with(() => client.upload(list)))))
    }
  }
  const send = async () => {
    for (const uploads of uploaded.splice(0)) {
      await Promise.all(uploads.map(async (upload) => {
        const sendId = await slots.with(() => client.send(upload))
        do await sleep(pollMs)
        while (!await slots.with(() => client.isDone(sendId)))
      }))
      left--
    }
  }
  await Promise.all([
    arrive(mix, startAt, (mail) => waiting.push(mail)),
    job(startEvery, start),
    job(sendEvery, send)
  ])
}

/** A pool of as many workers as the limit allows; each takes the oldest list and stays with it until it is completed. */
export const fifoPool = async (
  url: string,
  mix: ReadonlyArray<MailRequest>,
  startAt: number,
  concurrency: number
): Promise<void> => {
  const client = new Client(url)
  const slots = new Permits(concurrency)
  const work: Array<Promise<void>> = []
  await arrive(mix, startAt, (mail) => {
    for (const list of listsOf(mail)) {
      work.push(slots.with(async () => {
        const sendId = await client.send(await client.upload(list))
        do await sleep(pollMs)
        while (!await client.isDone(sendId))
      }))
    }
  })
  await Promise.all(work)
}
