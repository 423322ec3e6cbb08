/** A cluster with shoppers: what every test of it begins with, and how its story is judged in the end. */
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type Books, openBooks, type Watch } from "./Books.ts"
import { type Front, openFront } from "./Front.ts"
import { type Cluster, type ClusterOptions, HarnessFault, type Member, startCluster } from "./Harness.ts"
import { type Answer, type Attempt, type Call, History, type Reply, replyOf } from "./History.ts"
import { judgeLinear, type LinearVerdict } from "./Linear.ts"
import { insist, openProduct, shop, type ShopperOptions } from "./Shoppers.ts"
import { acknowledged, judgeHistory } from "./Verdict.ts"

export interface Scene {
  readonly cluster: Cluster
  readonly books: Books
  /** The books, looked at all the time (G1). */
  readonly watch: Watch
  readonly history: History
  /** One per gateway. */
  readonly fronts: ShopperOptions["fronts"]
}

/** Waits until `check` holds, looking every 25 ms; the fault says what it waited for. */
export const until = <E, R>(
  what: string,
  check: Effect.Effect<boolean, E, R>,
  within: Duration.DurationInput = "20 seconds"
): Effect.Effect<void, E | HarnessFault, R> =>
  check.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("25 millis") }),
    Effect.asVoid,
    Effect.timeoutFail({
      duration: within,
      onTimeout: () => new HarnessFault({ message: `${what}: not within ${Duration.format(Duration.decode(within))}` })
    })
  )

/** Waits until so many calls that were made after this moment have been answered: the shop serves, whatever happened. */
export const served = (
  { history }: Pick<Scene, "history">,
  count: number,
  within: Duration.DurationInput = "40 seconds"
): Effect.Effect<void, HarnessFault> =>
  Effect.suspend(() => {
    let next = history.attempts.length
    /** Begun after this moment, and without an answer when they were looked at last. */
    let pending: Array<Attempt> = []
    let answered = 0
    return until(
      `${count} answers`,
      Effect.sync(() => {
        pending.push(...history.attempts.slice(next))
        next = history.attempts.length
        pending = pending.filter((attempt) => {
          if (replyOf(attempt) !== null) answered++
          return attempt.answeredAt === null
        })
        return answered >= count
      }),
      within
    )
  })

/** Waits until every runner is in service, so that the next blow finds a cluster that can bear it. */
export const whole = ({ books, cluster }: Scene): Effect.Effect<void, HarnessFault> =>
  until(
    "all runners are in service",
    books.sql<{ readonly n: number }>`select count(*)::int as n from cluster_runners where healthy`.pipe(
      Effect.map(([found]) => found?.n === cluster.runners.length),
      Effect.orElseSucceed(() => false)
    ),
    "40 seconds"
  )

/** A line of one piece. */
export const onePiece = (ticket: TicketId, member = "m-1"): Extract<Call, { readonly _tag: "Add" }> => ({
  _tag: "Add",
  ticket,
  member,
  quantity: 1,
  waitlist: false
})

/** The shop's answer; anything else fails the test. */
export const reply = (answer: Answer): Reply => {
  if (answer._tag !== "Reply") throw new Error(`no answer of the shop: ${JSON.stringify(answer)}`)
  return answer.reply
}

interface ShardLocks {
  readonly own: number
  readonly others: number
}

const shardLocks = ({ sql }: Books, runner: Member): Effect.Effect<ShardLocks> =>
  sql<ShardLocks>`select count(*) filter (where a.usename = ${runner.name})::int as own,
      count(*) filter (where a.usename <> ${runner.name})::int as others
    from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and a.usename like 'runner-%'`.pipe(
    Effect.map(([found]) => found ?? { own: 0, others: 0 }),
    Effect.orDie
  )

/** Freezes a runner and waits until the others own all that it owned. */
export const freezeUntilReplaced = ({ books }: Scene, runner: Member): Effect.Effect<void, HarnessFault> =>
  Effect.gen(function*() {
    const before = yield* shardLocks(books, runner)
    yield* runner.freeze
    yield* until(
      `${runner.name} is replaced`,
      Effect.map(shardLocks(books, runner), ({ others, own }) => own === 0 && others >= before.own + before.others)
    )
  })

/** How often the books are looked at while a test runs. */
const watchDefault = Duration.millis(150)

export const openScene = (
  options: ClusterOptions,
  watchEvery: Duration.DurationInput = watchDefault
): Effect.Effect<Scene, HarnessFault, Scope.Scope> =>
  Effect.gen(function*() {
    const cluster = yield* startCluster(options)
    const books = yield* openBooks(cluster.database.url)
    const watch = yield* books.watch(watchEvery)
    const history = new History()
    const [first, ...rest] = yield* Effect.forEach(cluster.gateways, ({ url }) => openFront(url, history))
    if (first === undefined) return yield* new HarnessFault({ message: "a scene needs a gateway" })
    return { cluster, books, watch, history, fronts: [first, ...rest] }
  })

export interface LoadOptions {
  readonly seed: string
  readonly shoppers: number
  /** Longest pause between a shopper's visits, ms. */
  readonly pause: number
  readonly onOutcome?: ShopperOptions["onOutcome"]
  /**
   * Visits after which another product is the hot one, so that the hot products' histories, too, are short enough to be
   * judged as a whole; without it one product is hot for good, judged by the direct checks alone.
   */
  readonly hotVisits?: number
}

export interface Load {
  /** Lets every shopper end the visit under way. */
  readonly stop: Effect.Effect<void>
  /** Products whose short histories are to be judged as a whole. */
  readonly short: ReadonlySet<ProductId>
}

/** Products that are asked for at one time beside the hot one. */
const shelf = 4
/** Visits after which a product makes room for the next, and the pieces that it has. */
const visitsMax = 40
const piecesMin = 10
const piecesMax = 60
/** What the hot product gets, how often. */
const hotPieces = 200
const restockEvery = Duration.millis(400)
const restockPieces = 8

/**
 * Shoppers at one hot product that is restocked all the time, and at many that come and go: few requests each, so that their
 * whole history can be judged.
 */
export const startLoad = (scene: Scene, options: LoadOptions): Effect.Effect<Load, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { fronts } = scene
    const { seed } = options
    const random = makeSeededRandom(seed)
    let stopped = false
    const hots = new Map<ProductId, { version: number; visits: number }>()
    let hot = `${seed}-hot-1`
    hots.set(hot, { version: 1, visits: 0 })
    const short = new Set<ProductId>()
    const shown: Array<{ readonly product: ProductId; visits: number }> = []

    const operator = fronts[0]
    yield* openProduct(operator, hot, hotPieces)
    const show = Effect.gen(function*() {
      if (shown.length >= shelf || stopped) return
      const product = `${seed}-${short.size + 1}`
      short.add(product)
      yield* openProduct(random.pick(fronts), product, random.between(piecesMin, piecesMax))
      shown.push({ product, visits: 0 })
    })
    /** The next product to be hot, ready before the one that is has had its visits. */
    let nextHot: ProductId | null = null
    const heat = Effect.gen(function*() {
      if (options.hotVisits === undefined || nextHot !== null || stopped) return
      const product = `${seed}-hot-${hots.size + 1}`
      hots.set(product, { version: 1, visits: 0 })
      yield* openProduct(random.pick(fronts), product, hotPieces)
      nextHot = product
    })
    yield* show
    yield* Effect.zipRight(show, heat).pipe(Effect.repeat(Schedule.spaced("20 millis")), Effect.forkScoped)

    const restock = Effect.suspend(() => {
      const product = hot
      const state = hots.get(product)
      if (stopped || state === undefined) return Effect.void
      const call: Call = { _tag: "Restock", version: ++state.version, pieces: restockPieces }
      return Effect.asVoid(insist(random, fronts, product, call, ({ _tag }) => _tag === "Reply"))
    })
    const restocking = yield* restock.pipe(
      Effect.repeat({ until: () => stopped, schedule: Schedule.spaced(restockEvery) }),
      Effect.forkScoped
    )

    const product = () => {
      const at = random.between(0, shelf)
      const chosen = shown[at]
      if (chosen === undefined) {
        const state = hots.get(hot)
        if (state !== undefined && ++state.visits >= (options.hotVisits ?? Infinity) && nextHot !== null) {
          short.add(hot)
          hot = nextHot
          nextHot = null
        }
        return hot
      }
      if (++chosen.visits >= visitsMax) shown.splice(at, 1)
      return chosen.product
    }
    const shoppers = yield* Effect.forEach(
      Array.from({ length: options.shoppers }, (_, n) => `${seed}-shopper-${n}`),
      (name) =>
        Effect.forkScoped(shop({
          seed: name,
          fronts,
          product,
          stopped: () => stopped,
          pause: options.pause,
          quantityMax: 3,
          // The hot product's long history is judged without a model, which waitlists need.
          waitlist: (product) => !hots.has(product),
          ...(options.onOutcome === undefined ? {} : { onOutcome: options.onOutcome })
        }))
    )
    return {
      short,
      stop: Effect.suspend(() => {
        stopped = true
        return Effect.zipRight(Fiber.joinAll(shoppers), Fiber.join(restocking))
      }).pipe(Effect.asVoid)
    }
  })

export interface Judgement {
  /** Everything that is wrong; empty when nothing is. */
  readonly problems: ReadonlyArray<string>
  readonly acknowledged: number
  readonly rounds: number
  /** What the shop's own audit went through in the end. */
  readonly audited: { readonly products: number; readonly lines: number; readonly faults: number }
  readonly linear: LinearVerdict
  readonly tally: Readonly<Record<string, number>>
}

/** Pages of the audit. */
const auditPage = 500

/** The shop's own audit, over the RPC (any gateway that answers). */
const audit = (front: Front) =>
  Effect.gen(function*() {
    const problems: Array<string> = []
    let products = 0
    let lines = 0
    let after: string | undefined
    do {
      const page = yield* front.client.admin.audit({ limit: auditPage, ...(after === undefined ? {} : { after }) })
      for (const fault of page.faults) problems.push(`audit: ${JSON.stringify(fault)}`)
      products += page.checked
      lines += page.lines
      after = page.next ?? undefined
    } while (after !== undefined)
    return { problems, products, lines }
  })

/**
 * The verdict, once everything is quiet: the books as the audit and as our own SQL see them, the history against what is on
 * record, and the short histories as a whole.
 */
export const judgeScene = (scene: Scene, short: ReadonlySet<ProductId>) =>
  Effect.gen(function*() {
    const { books, fronts, history, watch } = scene
    // Whoever was given up without an answer is released in the background (G6); then nothing changes any more.
    yield* until(
      "tickets given up are settled",
      Effect.map(books.sql`select 1 from ticket_given_up limit 1`, (rows) => rows.length === 0),
      "30 seconds"
    )
    const audited = yield* audit(fronts[0]).pipe(Effect.retry({ times: 20, schedule: Schedule.spaced("250 millis") }))
    const faults = yield* books.faults
    const facts = yield* books.facts
    const linear = judgeLinear(history, facts, short)
    const judgement: Judgement = {
      problems: [
        ...watch.problems.map((each) => `G1, while it ran: ${each}`),
        ...faults.map((each) => `G1, in the end: ${each}`),
        ...audited.problems,
        ...judgeHistory(history, facts),
        ...linear.problems
      ],
      acknowledged: acknowledged(history),
      rounds: watch.rounds(),
      audited: { products: audited.products, lines: audited.lines, faults: audited.problems.length },
      linear,
      tally: history.tally()
    }
    return judgement
  })

/** A scene that the tests of one file share, with its cluster. */
export class TheScene extends Context.Tag("@hikyaku/test/Scene")<TheScene, Scene>() {
  static readonly layer = (options: ClusterOptions) => Layer.scoped(TheScene, openScene(options))
}

/** Fails the test if anything is wrong; says what it was. */
export const expectRight = (judgement: Judgement): void => {
  if (judgement.problems.length > 0) {
    throw new Error(
      `${judgement.problems.length} things are wrong:\n${judgement.problems.slice(0, 12).join("\n")}\n` +
        JSON.stringify(judgement.tally, null, 2)
    )
  }
}
