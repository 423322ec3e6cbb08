/**
 * Shoppers as they are: many at once, over several gateways, impatient. They ask twice at the same time, ask again much
 * later, give up before, while or after they ask, walk away without a word, and change their minds.
 */
import { mintTicket } from "@hikyaku/domain/api/Client"
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import { makeSeededRandom, type SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import type { ReleaseReason } from "@hikyaku/domain/stock/Product"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type { Front } from "./Front.ts"
import { type Answer, type Call, givenUpTags, outcomeTags } from "./History.ts"

export interface ShopperOptions {
  readonly seed: string
  readonly fronts: readonly [Front, ...ReadonlyArray<Front>]
  /** The product to ask for next; null: nothing to do now. */
  readonly product: () => ProductId | null
  readonly stopped: () => boolean
  /** Longest pause between two visits, ms. */
  readonly pause: number
  /** Pieces per line, at most. */
  readonly quantityMax: number
  /** Whether some stand in line for it where there is nothing. */
  readonly waitlist: (product: ProductId) => boolean
  /** Hears of every ticket whose owner was told its outcome. */
  readonly onOutcome?: (line: Line, answer: Answer) => Effect.Effect<void>
}

export interface Line {
  readonly product: ProductId
  readonly ticket: TicketId
  readonly member: string
  readonly quantity: number
  readonly waitlist: boolean
}

/** How long a shopper asks again who has got no outcome, ms: longer than any failover. */
const persistence = 40_000
/** How long one attempt to make a product known may take, and how long it is tried again. */
const defineWithin = "5 seconds"
const definePersistence = "2 minutes"
/** Rest before asking again, ms, at most. */
const againMax = 300
/** Tickets of old visits that are asked for again some time. */
const remembered = 50

const add = ({ member, quantity, ticket, waitlist }: Line): Call => ({
  _tag: "Add",
  ticket,
  member,
  quantity,
  waitlist
})
const tagOf = (answer: Answer): string => (answer._tag === "Reply" ? answer.reply._tag : "")
/** Whether a shopper who has heard this knows what became of the ticket. */
export const settled = (answer: Answer): boolean => outcomeTags.has(tagOf(answer)) || givenUpTags.has(tagOf(answer))

const reasonOf = (random: SeededRandom): ReleaseReason => random.pick(["TimedOut", "TimedOut", "Cancelled", "Released"])
const sleep = (ms: number) => Effect.sleep(Duration.millis(ms))

/** Asks until there is an outcome, through whichever gateway. */
export const insist = (
  random: SeededRandom,
  fronts: ShopperOptions["fronts"],
  product: ProductId,
  call: Call,
  enough: (answer: Answer) => boolean = settled
): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    const until = performance.now() + persistence
    while (true) {
      const answer = yield* random.pick(fronts).tell(product, call)
      if (enough(answer) || performance.now() > until) return answer
      yield* sleep(random.between(20, againMax))
    }
  })

/** What a shopper was told who gives a ticket up: anything that is an answer. */
const told = (answer: Answer): boolean => answer._tag === "Reply"

/** Shops until it is told to stop; then ends its visit. */
export const shop = (options: ShopperOptions): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { fronts, seed } = options
    const random = makeSeededRandom(seed)
    const old: Array<Line> = []

    const giveUp = (line: Line) =>
      insist(random, fronts, line.product, { _tag: "GiveUp", ticket: line.ticket, reason: reasonOf(random) }, told)

    /** The first try, in one of the ways in which shoppers try; null when nobody heard an answer. */
    const ask = (line: Line): Effect.Effect<Answer | null> =>
      Effect.gen(function*() {
        const front = random.pick(fronts)
        const { product } = line
        const dice = random.next()
        // A cancel that overtakes its add.
        if (dice < 0.04) yield* giveUp(line)
        // The gateway is to give up for us, in the middle of everything.
        if (dice < 0.14) return yield* front.tell(product, add(line), random.between(1, 60))
        // Impatient: twice at the same time.
        if (dice < 0.26) {
          const [first, second] = yield* Effect.all(
            [front.tell(product, add(line)), random.pick(fronts).tell(product, add(line))],
            { concurrency: 2 }
          )
          return settled(first) ? first : second
        }
        // The page is closed while the request is under way.
        if (dice < 0.31) {
          const asking = yield* Effect.fork(front.tell(product, add(line)))
          yield* sleep(random.between(0, 15))
          yield* Fiber.interrupt(asking)
          return null
        }
        // Called off while the request is under way.
        if (dice < 0.37) {
          const asking = yield* Effect.fork(front.tell(product, add(line)))
          yield* sleep(random.between(0, 15))
          yield* giveUp(line)
          return yield* Fiber.join(asking)
        }
        return yield* front.tell(product, add(line))
      })

    const visit = (product: ProductId) =>
      Effect.gen(function*() {
        const line: Line = {
          product,
          ticket: yield* mintTicket,
          member: `m-${random.between(1, 5_000)}`,
          quantity: random.between(1, options.quantityMax),
          waitlist: options.waitlist(product) && random.chance(0.3)
        }
        let answer = yield* ask(line)
        if (answer === null || !settled(answer)) {
          // Walks away for good, gives up properly, or insists.
          const dice = random.next()
          if (answer === null && dice < 0.3) return
          answer = yield* dice < 0.5 ? giveUp(line) : insist(random, fronts, product, add(line))
        }
        if (options.onOutcome !== undefined) yield* options.onOutcome(line, answer)
        if (random.chance(0.1)) yield* insist(random, fronts, product, add(line))
        old.push(line)
        if (old.length > remembered) old.shift()
        const tag = tagOf(answer)
        if (tag === "Allocated" && random.chance(0.35)) {
          yield* sleep(random.between(0, 200))
          yield* giveUp(line)
        }
        if (tag === "Waitlisted") {
          yield* sleep(random.between(0, 300))
          yield* random.chance(0.4)
            ? giveUp(line)
            : random.pick(fronts).tell(product, { _tag: "Confirm", ticket: line.ticket })
        }
      })

    while (!options.stopped()) {
      yield* sleep(random.between(0, options.pause))
      const product = options.product()
      if (product === null) continue
      yield* visit(product)
      const late = old[random.between(0, remembered)]
      if (late !== undefined && random.chance(0.15)) {
        yield* insist(random, fronts, late.product, add(late))
      }
    }
  })

/** Makes a product known and takes stock in; asks until that is certain. */
export const openProduct = (
  front: Front,
  product: ProductId,
  pieces: number,
  settings: { readonly cartMs?: number; readonly memberLimit?: number; readonly lifetimeLimit?: number } = {}
): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* front.client.product.define({ product, name: product, cartMs: 6 * 3_600_000, ...settings }).pipe(
      // A call whose answer is lost must not be waited for: nobody else would ever bring products again.
      Effect.timeout(defineWithin),
      Effect.sandbox,
      Effect.retry(Schedule.upTo(Schedule.spaced("250 millis"), definePersistence)),
      Effect.orDie
    )
    yield* insist(
      makeSeededRandom(product),
      [front],
      product,
      { _tag: "Restock", version: 1, pieces },
      (answer) => tagOf(answer) === "StockLevel" || tagOf(answer) === "StaleVersion"
    )
  })
