/**
 * Counts a sandbox's record again, knowing nothing of the sandbox but its lines: what the report says must come out of them.
 * Plain and slow on purpose.
 */
interface Line {
  readonly t: string
  readonly n: number
  readonly at: number
  readonly op: "upload" | "send" | "status" | "history"
  readonly status: number
  readonly messages?: number
  readonly fault?: string
  readonly listId: string
  readonly mailKey: string
  readonly uploadId: string
  readonly fate: string
  readonly copies: number
  readonly rows: ReadonlyArray<readonly [string, string, string?]>
  readonly bounced: ReadonlyArray<number>
  readonly rejected: ReadonlyArray<number>
  readonly settings: {
    readonly concurrency: Readonly<Record<string, number | null>>
    readonly perSecond: Readonly<Record<string, number | null>>
    readonly messages: { readonly perSecond: number | null; readonly perDay: number | null }
  }
}

const none = () => ({ total: 0, upload: 0, send: 0, status: 0, history: 0 })

export const recount = (lines: ReadonlyArray<Line>) => {
  const requests = none()
  const peakConcurrency = none()
  const violations = { concurrency: 0, rate: 0, messages: 0, day: 0 }
  const peakMessages = { perSecond: 0, perDay: 0 }
  let sends: Array<Line> = []
  let limits: Line["settings"] | undefined
  let underWay: Array<Line> = []
  let starts: Array<Line> = []
  let requestMs = 0
  let busyMs = 0
  let before = 0
  for (const line of lines) {
    if (underWay.length > 0 && line.t !== "opened") {
      requestMs += underWay.length * (line.at - before)
      busyMs += line.at - before
    }
    before = line.at
    if (line.t === "opened") underWay = []
    if (line.t === "settings") limits = line.settings
    if (line.t === "end") underWay = underWay.filter(({ n }) => n !== line.n)
    if (line.t !== "start") continue
    const same = (other: Line) => other.op === line.op
    starts = starts.filter(({ at }) => at > line.at - 1000)
    const crowds = [["total", underWay, starts], [line.op, underWay.filter(same), starts.filter(same)]] as const
    for (const [of, now] of crowds) {
      requests[of]++
      peakConcurrency[of] = Math.max(peakConcurrency[of], now.length + 1)
    }
    const crowded = crowds.some(([of, now]) => now.length + 1 > (limits?.concurrency[of] ?? Infinity))
    const tooFast = crowds.some(([of, _, recent]) => recent.length + 1 > (limits?.perSecond[of] ?? Infinity))
    if (crowded) violations.concurrency++
    else if (tooFast) violations.rate++
    const messages = line.messages ?? 0
    const { perDay, perSecond } = limits?.messages ?? { perSecond: null, perDay: null }
    sends = sends.filter(({ at }) => at > line.at - 86_400_000)
    const sum = (of: ReadonlyArray<Line>) => of.reduce((all, one) => all + (one.messages ?? 0), 0)
    const today = sum(sends)
    const now = sum(sends.filter(({ at }) => at > line.at - 1_000))
    // A list above the limit holds all others up for as long as its messages take at that rate.
    const held = perSecond !== null &&
      sends.some(({ at, messages = 0 }) => messages > perSecond && at + messages * 1_000 / perSecond > line.at)
    if (messages > 0) {
      peakMessages.perSecond = Math.max(peakMessages.perSecond, now + messages)
      peakMessages.perDay = Math.max(peakMessages.perDay, today + messages)
    }
    const isRefused = crowded || tooFast
    const tooMany = !isRefused && messages > 0 && perSecond !== null &&
      (held || (now > 0 && now + messages > perSecond))
    const tooManyToday = !isRefused && !tooMany && messages > 0 && today + messages > (perDay ?? Infinity)
    if (tooMany) violations.messages++
    if (tooManyToday) violations.day++
    if (!isRefused && !tooMany && !tooManyToday) {
      underWay.push(line)
      starts.push(line)
      if (messages > 0 && line.fault !== "throttle") sends.push(line)
    }
  }

  const starting = new Map(lines.filter(({ t }) => t === "start").map((line) => [line.n, line]))
  const lists = new Map(lines.filter(({ t }) => t === "list").map((line) => [`u-${line.n}`, line]))
  const copies = new Map<string, number>()
  for (const send of lines.filter(({ fate, t }) => t === "send" && fate !== "fails")) {
    const list = lists.get(send.uploadId)
    list?.rows.forEach(([, address, mailKey = list.mailKey], index) => {
      if ([...send.bounced, ...send.rejected].includes(index)) return
      const pair = JSON.stringify([mailKey, address.toLowerCase()])
      copies.set(pair, (copies.get(pair) ?? 0) + send.copies)
    })
  }
  const doubles = [...copies.values()].reduce((sum, count) => sum + count - 1, 0)
  return {
    requests,
    peakConcurrency,
    violations,
    peakMessages,
    /** Sends that were accepted, and did not count with all their recipients when they arrived: must be none. */
    miscounted:
      lines.filter(({ n, t, uploadId }) =>
        t === "send" && starting.get(n)?.messages !== lists.get(uploadId)?.rows.length
      ).length,
    requestMs,
    busyMs,
    lists: lists.size,
    mailed: copies.size,
    /** Injected ones included. */
    doubles,
    answers: lines.filter(({ t }) => t === "end").reduce<Record<string, number>>(
      (all, { status }) => ({ ...all, [status]: (all[status] ?? 0) + 1 }),
      {}
    )
  }
}
