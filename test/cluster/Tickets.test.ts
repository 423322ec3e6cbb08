/** Tickets asked for again, in order, and given up: over several gateways, through the death of runners and gateways. */
import { layer } from "@effect/vitest"
import { mintTicket } from "@hikyaku/domain/api/Client"
import type { TicketId } from "@hikyaku/domain/Identifier"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect } from "vitest"
import { openFront } from "./Front.ts"
import type { Member } from "./Harness.ts"
import { type Answer, replyOf } from "./History.ts"
import { expectRight, judgeScene, onePiece, reply, type Scene, TheScene, until, whole } from "./Scene.ts"
import { insist, openProduct } from "./Shoppers.ts"
import { lockRow } from "./Waiting.ts"

const random = makeSeededRandom("tickets")
const tickets = (count: number) => Effect.replicateEffect(mintTicket, count)

/** Kills the runners one after the other, so that every actor has moved at least once. */
const moveEverything = (scene: Scene) =>
  Effect.forEach(
    scene.cluster.runners,
    (runner: Member) => whole(scene).pipe(Effect.zipRight(runner.kill), Effect.zipRight(runner.start)),
    { discard: true }
  )

layer(TheScene.layer({ runners: 2, gateways: 2 }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("G3: a repeat", () => {
    it.scoped(
      "gets the first outcome from every gateway, after a failover and after a restock; other content is refused",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          const { fronts } = scene
          const product = "repeats"
          yield* openProduct(fronts[0], product, 3, { memberLimit: 2 })
          const [a, b, c, d, e] = (yield* tickets(5)) as [TicketId, TicketId, TicketId, TicketId, TicketId]
          const lines = [
            onePiece(a, "m-1"),
            onePiece(b, "m-2"),
            onePiece(c, "m-1"),
            // The member has two already: the limit is not to be got round by splitting lines.
            onePiece(d, "m-1"),
            onePiece(e, "m-3")
          ]
          const first: Array<Answer> = []
          for (const line of lines) first.push(yield* insist(random, [fronts[0]], product, line))
          expect(first.map((answer) => reply(answer)._tag))
            .toEqual(["Allocated", "Allocated", "Allocated", "LimitReached", "SoldOut"])
          const again = (when: string) =>
            Effect.forEach(fronts, (front) =>
              Effect.forEach(lines, (line, n) =>
                Effect.map(insist(random, [front], product, line), (answer) =>
                  expect(answer, when).toEqual(first[n]))))
          yield* again("at once")
          expect(
            reply(
              yield* insist(
                random,
                fronts,
                product,
                { _tag: "Restock", version: 2, pieces: 5 },
                (each) =>
                  each._tag === "Reply"
              )
            )._tag
          ).toBe("StockLevel")
          yield* again("after a restock")
          yield* moveEverything(scene)
          yield* again("after a failover")
          for (const front of fronts) {
            for (const other of [{ member: "m-9" }, { quantity: 2 }, { waitlist: true }]) {
              for (const line of [lines[0]!, lines[4]!]) {
                const answer = yield* insist(
                  random,
                  [front],
                  product,
                  { ...line, ...other },
                  ({ _tag, ...rest }) =>
                    _tag === "Reply" || ("error" in rest && rest.error === "ContentDiffers")
                )
                expect(answer).toMatchObject({ _tag: "Error", error: "ContentDiffers" })
              }
            }
          }
          expectRight(yield* judgeScene(scene, new Set()))
        }),
      60_000
    )
  })

  describe("G4: requests over one connection", () => {
    it.scoped("are decided in their order, also while their runner dies", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { cluster: { runners }, fronts, history } = scene
        const product = "in-order"
        const bursts = 12
        yield* openProduct(fronts[0], product, 10_000)
        const burst = (front: Scene["fronts"][0]) =>
          Effect.gen(function*() {
            const ids = yield* tickets(20)
            yield* Effect.forEach(ids, (ticket) => front.tell(product, onePiece(ticket)), { concurrency: "unbounded" })
          })
        const from = history.attempts.length
        const load = yield* Effect.fork(
          Effect.forEach(fronts, (front) => Effect.replicateEffect(burst(front), bursts), { concurrency: 2 })
        )
        // Once it is under way.
        yield* until(
          "some are served",
          Effect.sync(() => history.attempts.slice(from).filter((each) => replyOf(each) !== null).length > 60)
        )
        yield* runners[0]!.kill
        yield* runners[0]!.start
        yield* Fiber.join(load)
        const served = history.attempts.slice(from).filter(({ product: of }) => of === product)
        // Whatever happens to its runner, a request within its deadline is answered.
        expect(served.filter((each) => replyOf(each)?._tag !== "Allocated").map(({ answer }) => answer)).toEqual([])
        expectRight(yield* judgeScene(scene, new Set()))
      }), 60_000)
  })

  describe("G6: a ticket that was given up", () => {
    it.scoped("holds no stock from the moment at which that was answered", () =>
      Effect.gen(function*() {
        const scene = yield* TheScene
        const { books, fronts } = scene
        const product = "given-up"
        yield* openProduct(fronts[0], product, 500)
        const giveUp = (n: number) =>
          Effect.gen(function*() {
            const ticket = yield* mintTicket
            const front = random.pick(fronts)
            const reason = random.pick(["TimedOut", "Cancelled", "Released"] as const)
            const asking = yield* Effect.fork(front.tell(product, onePiece(ticket, `m-${n}`), random.between(1, 4_000)))
            yield* Effect.sleep(random.between(0, 25))
            const answer = yield* insist(
              random,
              fronts,
              product,
              { _tag: "GiveUp", ticket, reason },
              (each) => each._tag === "Reply"
            )
            expect(["TimedOut", "Cancelled", "Released"]).toContain(reply(answer)._tag)
            expect(yield* books.holding([ticket])).toEqual([])
            yield* Fiber.join(asking)
            return ticket
          })
        const given = yield* Effect.forEach(Array.from({ length: 150 }, (_, n) => n), giveUp, { concurrency: 12 })
        // Asked for again, it is no more alive than it was.
        yield* Effect.forEach(given.slice(0, 40), (ticket, n) =>
          random.pick(fronts).tell(product, onePiece(ticket, `m-${n}`)), { concurrency: 8 })
        expect(yield* books.holding(given)).toEqual([])
        expectRight(yield* judgeScene(scene, new Set()))
      }), 60_000)

    it.scoped(
      "holds none and gets none when the cancel overtakes the add, from whichever gateway, after a failover",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          const { books, fronts } = scene
          const [first, second = first] = fronts
          const product = "overtaken"
          yield* openProduct(first, product, 10)
          const given = yield* tickets(3)
          for (const [n, reason] of (["TimedOut", "Cancelled", "Released"] as const).entries()) {
            const ticket = given[n]!
            const gone = yield* insist(
              random,
              [second],
              product,
              { _tag: "GiveUp", ticket, reason },
              (each) => each._tag === "Reply"
            )
            expect(reply(gone)._tag).toBe(reason)
            expect(reply(yield* insist(random, [first], product, onePiece(ticket)))._tag).toBe(reason)
          }
          yield* moveEverything(scene)
          for (const [n, reason] of (["TimedOut", "Cancelled", "Released"] as const).entries()) {
            for (const front of fronts) {
              expect(reply(yield* insist(random, [front], product, onePiece(given[n]!)))._tag).toBe(reason)
            }
          }
          expect(yield* books.holding(given)).toEqual([])
          expectRight(yield* judgeScene(scene, new Set([product])))
        }),
      60_000
    )

    it.scoped(
      "holds none when its commit was on its way as the deadline passed, and nobody could be asked",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          const { books, fronts: [front] } = scene
          const product = "late"
          yield* openProduct(front, product, 10)
          const unlock = yield* lockRow(books, product)
          const late = yield* tickets(5)
          const answers = yield* Effect.forEach(late, (ticket) => front.tell(product, onePiece(ticket), 300), {
            concurrency: "unbounded"
          })
          // The gateway cannot say TimedOut: the actor alone can, and its commits wait.
          expect(answers.map((answer) => answer._tag === "Error" ? answer.error : answer._tag)).toEqual(
            late.map(() => "NotAnswered")
          )
          yield* unlock
          yield* until(
            "what was given up is settled",
            Effect.map(books.sql`select 1 from ticket_given_up limit 1`, (rows) => rows.length === 0)
          )
          expect(yield* books.holding(late)).toEqual([])
          const level = reply(
            yield* insist(random, [front], product, { _tag: "ReadStock" }, (each) => each._tag === "Reply")
          )
          expect(level).toMatchObject({ available: 10, allocated: 0 })
          expectRight(yield* judgeScene(scene, new Set([product])))
        }),
      60_000
    )

    it.scoped(
      "holds none either when its gateway died before it could cancel: it lapses, whoever lives",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          const { books, cluster: { gateways }, fronts, history } = scene
          const product = "unheard"
          const pieces = 40
          yield* openProduct(fronts[0], product, pieces, { cartMs: 2_500 })
          const [, gateway] = gateways
          const doomed = yield* openFront(gateway!.url, history)
          const ids = yield* tickets(30)
          const asking = yield* Effect.fork(
            Effect.forEach(ids, (ticket) => doomed.tell(product, onePiece(ticket)), { concurrency: "unbounded" })
          )
          yield* until("some are allocated", Effect.map(books.holding(ids), (rows) => rows.length > 0))
          yield* gateway!.kill
          yield* moveEverything(scene)
          yield* gateway!.start
          yield* Fiber.join(asking)
          yield* until("what nobody heard of lapses", Effect.map(books.holding(ids), (rows) => rows.length === 0))
          const level = reply(
            yield* insist(random, fronts, product, { _tag: "ReadStock" }, (each) => each._tag === "Reply")
          )
          expect(level).toMatchObject({ available: pieces, allocated: 0 })
          expectRight(yield* judgeScene(scene, new Set()))
        }),
      60_000
    )
  })
})
