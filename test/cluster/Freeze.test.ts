/** Runners that stand still for longer than the cluster waits for them, and go on where they stood. */
import { layer } from "@effect/vitest"
import { mintTicket } from "@hikyaku/domain/api/Client"
import type { ProductId } from "@hikyaku/domain/Identifier"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { describe, expect } from "vitest"
import type { Books } from "./Books.ts"
import { HarnessFault, type Member } from "./Harness.ts"
import { expectRight, judgeScene, onePiece, reply, type Scene, startLoad, TheScene, until } from "./Scene.ts"
import { insist, openProduct } from "./Shoppers.ts"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"

const random = makeSeededRandom("freeze")

/** Keeps a product's row locked, so that whoever commits to it waits; until the effect that it gives is run. */
const lockRow = (books: Books, product: ProductId): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { sql } = books
    const locked = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const holding = yield* sql`select 1 from product where id = ${product} for update`.pipe(
      Effect.zipRight(Deferred.succeed(locked, undefined)),
      Effect.zipRight(Deferred.await(release)),
      sql.withTransaction,
      Effect.orDie,
      Effect.forkScoped
    )
    yield* Deferred.await(locked)
    return Effect.zipRight(Deferred.succeed(release, undefined), Fiber.join(holding))
  })

/** Names of the members whose commits wait for a lock now. */
const waiting = ({ sql }: Books) =>
  sql<{ readonly name: string }>`select distinct usename as name from pg_stat_activity
    where wait_event_type = 'Lock' and query like '%for update of m%' and usename like 'runner-%'`.pipe(
    Effect.map((rows) => rows.map(({ name }) => name))
  )

/** The runner whose commit waits. */
const waitingRunner = ({ books, cluster }: Scene): Effect.Effect<Member, HarnessFault> =>
  Effect.gen(function*() {
    let found: Member | undefined
    yield* until(
      "a commit waits",
      Effect.map(Effect.orDie(waiting(books)), ([name]) => {
        found = cluster.runners.find((runner) => runner.name === name)
        return found !== undefined
      })
    )
    if (found === undefined) return yield* new HarnessFault({ message: "nobody commits" })
    return found
  })

const allocated = ({ sql }: Books, ticket: string) =>
  Effect.map(sql`select 1 from allocation where ticket = ${ticket}::uuid`, (rows) => rows.length > 0)

/** Asks for one piece again and again, to see the frozen runner's successor at work. */
const buy = (scene: Scene, product: ProductId, count: number) =>
  Effect.gen(function*() {
    for (let n = 0; n < count; n++) {
      const ticket = yield* mintTicket
      const call = onePiece(ticket, `m-${n}`)
      expect(reply(yield* insist(random, scene.fronts, product, call))._tag).toBe("Allocated")
    }
  })

layer(TheScene.layer({ runners: 2, gateways: 2 }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("G5 R1 R5: a runner that stands still amid a commit", () => {
    it.scoped("is replaced; its commit that landed is told by its successor, and what it says later is not wrong", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { books, fronts: [front] } = scene
        const product = "frozen-after"
        yield* openProduct(front, product, 20)
        yield* buy(scene, product, 1)
        const unlock = yield* lockRow(books, product)
        const ticket = yield* mintTicket
        const asking = yield* Effect.fork(insist(random, [front], product, onePiece(ticket)))
        const owner = yield* waitingRunner(scene)
        yield* owner.freeze
        yield* unlock
        // The server commits; nobody reads its answer.
        yield* until("the commit lands", allocated(books, ticket))
        expect(reply(yield* Fiber.join(asking))).toMatchObject({ _tag: "Allocated", sequence: 2 })
        yield* buy(scene, product, 2)
        const busy = yield* Effect.fork(buy(scene, product, 10))
        yield* owner.thaw
        yield* Fiber.join(busy)
        expect(reply(yield* insist(random, scene.fronts, product, onePiece(ticket)))).toMatchObject({ sequence: 2 })
        expectRight(yield* judgeScene(scene, new Set([product])))
      }), 60_000)

    it.scoped("is replaced; its commit that lands after the takeover and its successor's exclude each other", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { books, cluster, fronts } = scene
        const product = "frozen-before"
        yield* until("both runners serve", Effect.sync(() => cluster.runners.every((each) => each.state() === "up")))
        yield* openProduct(fronts[0], product, 2)
        yield* buy(scene, product, 1)
        const unlock = yield* lockRow(books, product)
        const first = yield* mintTicket
        const second = yield* mintTicket
        const asking = yield* Effect.fork(insist(random, [fronts[0]], product, onePiece(first)))
        const owner = yield* waitingRunner(scene)
        yield* owner.freeze
        // One piece is left and both want it: the frozen one's commit waits, and then its successor's does, too.
        const other = yield* Effect.fork(insist(random, fronts, product, onePiece(second)))
        yield* until(
          "the successor commits",
          Effect.map(Effect.orDie(waiting(books)), (names) => names.some((name) => name !== owner.name)),
          "25 seconds"
        )
        yield* unlock
        const answers = yield* Effect.all([Fiber.join(asking), Fiber.join(other)], { concurrency: 2 })
        yield* owner.thaw
        expect(answers.map((answer) => reply(answer)._tag).toSorted()).toEqual(["Allocated", "SoldOut"])
        const level = reply(yield* insist(random, fronts, product, { _tag: "ReadStock" }, (each) => each._tag === "Reply"))
        expect(level).toMatchObject({ available: 0, allocated: 2 })
        expectRight(yield* judgeScene(scene, new Set([product])))
      }), 60_000)
  })

  describe("G1 G3 G4 G5: runners that stand still again and again while shoppers shop", () => {
    it.scoped("say nothing wrong when they go on", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { cluster: { runners } } = scene
        const load = yield* startLoad(scene, { seed: "freeze", shoppers: 12, pause: 100 })
        yield* Effect.sleep("1500 millis")
        for (const runner of runners) {
          yield* runner.freeze
          yield* Effect.sleep("4 seconds")
          yield* runner.thaw
          yield* Effect.sleep("2500 millis")
        }
        yield* load.stop
        const judgement = yield* judgeScene(scene, load.short)
        expectRight(judgement)
        expect(judgement.linear.judged).toBeGreaterThan(2)
      }), 90_000)
  })
})
