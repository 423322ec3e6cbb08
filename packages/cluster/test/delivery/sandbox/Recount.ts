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
  }
}

const none = () => ({ total: 0, upload: 0, send: 0, status: 0, history: 0 })

export const recount = (lines: ReadonlyArray<Line>) => {
  const requests = none()
  const peakConcurrency = none()
  const violations = { concurrency: 0, rate: 0 }
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
    else {
      underWay.push(line)
      starts.push(line)
    }
  }

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
