/**
 * Which steps of a replay may be under way at the same time. A *stretch* is what is sent between two barriers of the clock:
 * steps of one logical interval. Within it order holds where it means something, and nowhere else, so that one connection
 * keeps the whole shop busy:
 *
 * - Cart adds of one product are sent in their order; the shop decides them in the order in which they were made (G4).
 * - What changes a product's stock (a return, a stated figure) waits for the adds before it, and those after it wait for it.
 * - A checkout waits for all that its member did before.
 * - A product's own time never runs backwards (R6): so whatever happens to a product after a cart line has lapsed waits for
 *   the checkout that was in time.
 *
 * Events that no Product actor acts on go in batches, in their order. Pure; keyed by place within the stretch.
 */
import { route } from "@hikyaku/cluster/marketing/EventRouting"
import type { TicketId } from "@hikyaku/domain/Identifier"
import { type Event, eventKey } from "@hikyaku/domain/marketing/Event"
import type { Step } from "@hikyaku/domain/replay/Step"
import { cartMsDefault } from "@hikyaku/domain/stock/Product"

/** How a step is sent. Numbers are places within the stretch, all lower than the step's own. */
export type Place =
  /** With other events, all of them in their order. */
  | { readonly _tag: "Batched" }
  | {
    readonly _tag: "Single"
    /** These must have been answered. */
    readonly answered: ReadonlyArray<number>
    /** This one must have been sent, -1 for none. */
    readonly sent: number
  }

export interface StretchLimits {
  /** Logical ms; stretches begin at multiples of it. */
  readonly lengthMs: number
  /** Steps of one stretch. */
  readonly stepsMax: number
}

/** Whether a step no longer fits into the stretch that has been gathered. */
export const endsBefore = (gathered: ReadonlyArray<Step>, next: Step, limits: StretchLimits): boolean => {
  const [first] = gathered
  if (first === undefined) return false
  return gathered.length >= limits.stepsMax ||
    Math.floor(first.at / limits.lengthMs) !== Math.floor(next.at / limits.lengthMs)
}

/** Whether a Product actor acts on the event: then what the replay does to the product next must find it done. */
export const changesProduct = (event: Event): boolean =>
  route({ ...event, partition: 0, offset: 0 }, "physical").some((routed) => routed._tag === "Product")

/** What has been planned for one product. */
interface ProductLine {
  /** Last step that was alone with the product. */
  alone: number
  /** Adds since then, in their order. */
  adds: Array<number>
  /** Checkouts, each with the instant at which its line of this product lapses. */
  readonly checkouts: Array<{ readonly lapsesAt: number; readonly place: number }>
}

/** What has been planned for one member. */
interface MemberLine {
  /** Last step that waited for everything before it. */
  alone: number
  since: Array<number>
}

/**
 * Places the steps of a stretch. `expiryOf` knows when the lines of earlier stretches lapse; a line added in this one lapses
 * after the usual time.
 */
export const orderOf = (
  steps: ReadonlyArray<Step>,
  expiryOf: (ticket: TicketId) => number | undefined
): ReadonlyArray<Place> => {
  const products = new Map<string, ProductLine>()
  const members = new Map<string, MemberLine>()
  const lapses = new Map<TicketId, number>()
  /** Keys of which at least one event is acted on: all their events go one by one, in order. */
  const single = new Set<string>()
  for (const step of steps) {
    if (step._tag === "Publish" && changesProduct(step.event)) single.add(eventKey(step.event.happening))
  }

  const productLine = (product: string): ProductLine => {
    let line = products.get(product)
    if (line === undefined) products.set(product, line = { alone: -1, adds: [], checkouts: [] })
    return line
  }
  const memberLine = (member: string): MemberLine => {
    let line = members.get(member)
    if (line === undefined) members.set(member, line = { alone: -1, since: [] })
    return line
  }
  const some = (place: number): ReadonlyArray<number> => (place < 0 ? [] : [place])

  /** Checkouts that must be over before the product hears of an instant at which their lines have lapsed. */
  const lapsed = (line: ProductLine, at: number): ReadonlyArray<number> => {
    const due = line.checkouts.filter(({ lapsesAt }) => lapsesAt <= at)
    if (due.length === 0) return []
    const rest = line.checkouts.filter(({ lapsesAt }) => lapsesAt > at)
    line.checkouts.splice(0, line.checkouts.length, ...rest)
    return due.map(({ place }) => place)
  }
  const aloneWithProduct = (product: string, at: number, place: number): ReadonlyArray<number> => {
    const line = productLine(product)
    const answered = [...some(line.alone), ...line.adds, ...lapsed(line, at)]
    line.alone = place
    line.adds = []
    return answered
  }
  const aloneWithMember = (member: string, place: number): ReadonlyArray<number> => {
    const line = memberLine(member)
    const answered = [...some(line.alone), ...line.since]
    line.alone = place
    line.since = []
    return answered
  }
  const singly = (answered: ReadonlyArray<number>, sent = -1): Place => ({
    _tag: "Single",
    answered: [...new Set(answered)],
    sent
  })

  return steps.map((step, place): Place => {
    switch (step._tag) {
      case "CartAdd": {
        const line = productLine(step.product)
        const member = memberLine(step.member)
        const answered = [...some(line.alone), ...lapsed(line, step.at), ...some(member.alone)]
        const sent = line.adds.at(-1) ?? -1
        line.adds.push(place)
        member.since.push(place)
        lapses.set(step.ticket, step.at + cartMsDefault)
        return singly(answered, sent)
      }
      case "Checkout": {
        for (const { product, ticket } of step.lines) {
          const lapsesAt = lapses.get(ticket) ?? expiryOf(ticket)
          if (lapsesAt !== undefined) productLine(product).checkouts.push({ lapsesAt, place })
        }
        return singly(aloneWithMember(step.member, place))
      }
      case "Return":
        return singly([
          ...aloneWithProduct(step.product, step.at, place),
          ...aloneWithMember(step.member, place)
        ])
      case "Publish": {
        const key = eventKey(step.event.happening)
        if (!single.has(key)) return { _tag: "Batched" }
        return singly(aloneWithProduct(key.slice(2), step.at, place))
      }
      case "ProductOpening":
      case "MemberOpening":
        // Openings are over before the first stretch.
        return { _tag: "Batched" }
    }
  })
}
