/**
 * A slice of the Online Retail data (UCI; Chen, Sain, Guo 2012; CC BY 4.0) as a shop's inputs, and what must come of them by
 * the raw lines alone. The record has carts that were bought, and cancellations; derived here, since it has no such thing:
 *
 * - a line that its member took back whole later in the record was never paid: its cart lapses;
 * - a product costs, on a day, what most of its lines say; it is told whenever that changes, up or down, in yen;
 * - it opens with the pieces of the first half of its lines, every second one with one piece more, and gets all pieces of its
 *   lines delivered on the day of the line at three quarters; whoever wants more than there is goes away;
 * - who bought a product favours it from then on.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"

const folder = fileURLToPath(new URL("../../../../../shared/data/online-retail/", import.meta.url))
const file = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith(".csv.gz")) : undefined
export const hasOnlineRetail = file !== undefined

const minute = 60_000
const day = 86_400_000
/** How long a cart lasts unbought, ms. */
const cartMs = 30 * minute
/** Yen for a pound: some of the products cost less than 1,000 yen, some more. */
const yen = 130

/** Products with many cancellations and price changes; few enough lines that a test can replay them all. */
const slice = ["22236", "22461", "22509", "22655", "22701", "22797", "22848", "79191C", "84078A", "84356"]

interface Line {
  readonly n: number
  readonly invoice: string
  readonly product: string
  readonly name: string
  readonly quantity: number
  /** ms since the epoch, a whole minute. */
  readonly at: number
  readonly price: number
  readonly member: string
}

/** The lines of the slice that have a customer, in the order of the record. */
export const readLines = (): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  const wanted = new Set(slice)
  const text = gunzipSync(readFileSync(folder + file)).toString("utf8")
  for (const [n, line] of text.split("\n").entries()) {
    // Invoice and code are never quoted; a description may be, with commas inside.
    const product = line.split(",", 2)[1]?.toUpperCase()
    if (product === undefined || !wanted.has(product)) continue
    const fields = /^([^,]*),[^,]*,("(?:[^"]|"")*"|[^,]*),(-?\d+),([^,]*),([^,]*),([^,]*),/.exec(line)
    if (fields === null) throw new Error(`line ${n} is not understood: ${line}`)
    const [, invoice = "", name = "", quantity = "", date = "", price = "", customer = ""] = fields
    if (customer === "") continue
    // British summer time began on 27 March 2011; the slice ends in it.
    const zone = date < "2011-03-27" ? "Z" : "+01:00"
    const at = Math.floor(Date.parse(date.replace(" ", "T") + zone) / minute) * minute
    lines.push({
      n,
      invoice,
      product,
      name,
      quantity: Number(quantity),
      at,
      price: Math.round(Number(price) * yen),
      member: `c${Number(customer)}`
    })
  }
  return lines
}

interface Add {
  readonly n: number
  readonly product: string
  readonly member: string
  readonly quantity: number
  /** Not paid: the cart lapses. */
  readonly left: boolean
}

/** What happens at one instant, in this order; carts that lapse then come after the deliveries. */
export interface Step {
  readonly at: number
  readonly prices: ReadonlyArray<{ readonly product: string; readonly before: number; readonly after: number }>
  readonly deliveries: ReadonlyArray<{ readonly product: string; readonly pieces: number }>
  readonly adds: ReadonlyArray<Add>
}

export interface Story {
  readonly opens: number
  readonly products: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly price: number
    readonly stock: number
  }>
  readonly members: ReadonlyArray<string>
  readonly steps: ReadonlyArray<Step>
}

const dayOf = (at: number) => Math.floor(at / day)

/** The price on most lines of each day; among equals the one before, else the highest. */
const dailyPrices = (lines: ReadonlyArray<Line>) => {
  const days = new Map<number, Array<number>>()
  for (const { at, price } of lines) days.set(dayOf(at), [...days.get(dayOf(at)) ?? [], price])
  let before: number | null = null
  return [...days].map(([at, prices]) => {
    const times = (price: number) => prices.filter((each) => each === price).length
    const most = Math.max(...prices.map(times))
    const common = prices.filter((price) => times(price) === most)
    const price: number = before !== null && common.includes(before) ? before : Math.max(...common)
    before = price
    return { at: at * day + 6 * 60 * minute, price }
  })
}

/** The inputs of the shop. */
export const storyOf = (lines: ReadonlyArray<Line>): Story => {
  const taken = lines.filter(({ invoice, price, quantity }) => !invoice.startsWith("C") && quantity > 0 && price > 0)
  const left = new Set<number>()
  for (const back of lines.filter(({ invoice }) => invoice.startsWith("C"))) {
    const own = taken.find((line) =>
      line.n < back.n && line.member === back.member && line.product === back.product &&
      line.quantity === -back.quantity && !left.has(line.n)
    )
    if (own !== undefined) left.add(own.n)
  }
  const steps = new Map<number, {
    readonly prices: Array<Step["prices"][number]>
    readonly deliveries: Array<Step["deliveries"][number]>
    readonly adds: Array<Add>
  }>()
  const stepAt = (at: number) => {
    const step = steps.get(at) ?? { prices: [], deliveries: [], adds: [] }
    steps.set(at, step)
    return step
  }
  const products = slice.map((id, index) => {
    const own = taken.filter(({ product }) => product === id)
    const pieces = (some: ReadonlyArray<Line>) => some.reduce((sum, { quantity }) => sum + quantity, 0)
    const days = dailyPrices(own)
    for (const [i, { at, price }] of days.entries()) {
      const before = days[i - 1]?.price
      if (before !== undefined && before !== price) stepAt(at).prices.push({ product: id, before, after: price })
    }
    stepAt(dayOf(own[Math.floor(own.length * 0.75)]!.at) * day + 7 * 60 * minute).deliveries.push({
      product: id,
      pieces: pieces(own)
    })
    return {
      id,
      name: own[0]!.name,
      price: days[0]!.price,
      stock: pieces(own.slice(0, Math.floor(own.length / 2))) + index % 2
    }
  })
  for (const { at, member, n, product, quantity } of taken) {
    stepAt(at).adds.push({ n, product, member, quantity, left: left.has(n) })
    // A step of its own for what lapses.
    if (left.has(n)) stepAt(at + cartMs)
  }
  return {
    opens: taken[0]!.at - day,
    products,
    members: [...new Set(taken.map(({ member }) => member))],
    steps: [...steps].map(([at, step]) => ({ at, ...step })).sort((a, b) => a.at - b.at)
  }
}

/** A run that must begin. */
export interface Expected {
  readonly campaign: string
  readonly product: string
  readonly member: string | null
  readonly at: number
  /** Those whom it addresses, sorted. */
  readonly audience: ReadonlyArray<string>
}

interface Shelf {
  available: number
  price: number
  ranOut: boolean
}

/** What `examples/campaigns` say in words, counted out by hand: no rule, segment or actor of ours has a part in it. */
export const expectedRuns = ({ members, products, steps }: Story): ReadonlyArray<Expected> => {
  const shelves = new Map<string, Shelf>(
    products.map(({ id, price, stock }) => [id, { available: stock, price, ranOut: false }])
  )
  const runs: Array<Expected> = []
  const carted: Array<{ readonly member: string; readonly product: string; readonly at: number }> = []
  const bought: Array<{ readonly member: string; readonly product: string; readonly at: number }> = []
  const open: Array<{ readonly add: Add; readonly until: number }> = []
  const lastRun = new Map<string, number>()
  for (const { adds, at, deliveries, prices } of steps) {
    const did = (what: typeof carted, member: string, product: string, days: number) =>
      what.some((each) => each.member === member && each.product === product && each.at >= at - days * day)
    const rests = (campaign: string, product: string, days: number) =>
      at < (lastRun.get(`${campaign} ${product}`) ?? Number.NEGATIVE_INFINITY) + days * day
    const causes: Array<() => void> = []
    const begin = (campaign: string, product: string, pauseDays: number, wants: (member: string) => boolean) =>
      causes.push(() => {
        if (rests(campaign, product, pauseDays)) return
        lastRun.set(`${campaign} ${product}`, at)
        runs.push({ campaign, product, member: null, at, audience: members.filter(wants).sort() })
      })
    /** One change of a product's stock, and what the shop says of it. */
    const level = (product: string, change: number) => {
      const shelf = shelves.get(product)!
      const before = shelf.available
      shelf.available += change
      if (shelf.available === 0) shelf.ranOut = true
      else if (shelf.ranOut) {
        shelf.ranOut = false
        begin("back-in-stock", product, 1, (member) =>
          // Whoever bought it ever favours it.
          (did(bought, member, product, 180) && favouredSince(bought, member, product, at - 180 * day) ||
            did(carted, member, product, 30)) && !did(bought, member, product, 60))
      } else if (shelf.available === 1 && before > 1) {
        begin(
          "last-one",
          product,
          1,
          (member) => did(bought, member, product, 9_999) && !did(bought, member, product, 30)
        )
      }
    }
    for (const { after, before, product } of prices) {
      shelves.get(product)!.price = after
      if (after * 10 > before * 9) continue
      begin(
        "price-drop",
        product,
        3,
        (member) =>
          (did(bought, member, product, 9_999) || did(carted, member, product, 14)) && !did(bought, member, product, 90)
      )
    }
    for (const { pieces, product } of deliveries) level(product, pieces)
    const lapsing = open.filter(({ until }) => until === at).map(({ add }) => add)
    for (const product of new Set(lapsing.map((add) => add.product))) {
      level(product, lapsing.filter((add) => add.product === product).reduce((sum, { quantity }) => sum + quantity, 0))
    }
    for (const { member, product, quantity } of lapsing) {
      causes.push(() => {
        const { available, price } = shelves.get(product)!
        if (available < quantity || price < 1_000) return
        runs.push({
          campaign: "abandoned-cart",
          product,
          member,
          at,
          audience: did(bought, member, product, 1) ? [] : [member]
        })
      })
    }
    for (const add of adds) {
      const { left, member, product, quantity } = add
      if (shelves.get(product)!.available < quantity) continue
      level(product, -quantity)
      carted.push({ member, product, at })
      if (left) open.push({ add, until: at + cartMs })
      else bought.push({ member, product, at })
    }
    for (const cause of causes) cause()
  }
  return runs
}

/** A favourite dates from the first purchase. */
const favouredSince = (
  bought: ReadonlyArray<{ readonly member: string; readonly product: string; readonly at: number }>,
  member: string,
  product: string,
  since: number
): boolean => (bought.find((each) => each.member === member && each.product === product)?.at ?? 0) >= since
