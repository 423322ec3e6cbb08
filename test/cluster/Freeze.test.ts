/** Runners that stand still for longer than the cluster waits for them, and go on where they stood. */
import { layer } from "@effect/vitest"
import { mintTicket } from "@hikyaku/domain/api/Client"
import type { ProductId } from "@hikyaku/domain/Identifier"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect } from "vitest"
import { openFront } from "./Front.ts"
import { expectRight, judgeScene, onePiece, reply, type Scene, TheScene, until, whole } from "./Scene.ts"
import { insist, openProduct } from "./Shoppers.ts"
import { lockRow, waitingRunner } from "./Waiting.ts"

const random = makeSeededRandom("freeze")

const read = (scene: Scene, product: ProductId) =>
  Effect.map(insist(random, scene.fronts, product, { _tag: "ReadStock" }, (each) => each._tag === "Reply"), reply)

/** Asks for one piece so many times, one after the other; the outcomes' tags. */
const buy = (scene: Scene, product: ProductId, count: number) =>
  Effect.replicateEffect(
    Effect.flatMap(mintTicket, (ticket) => insist(random, scene.fronts, product, onePiece(ticket))),
    count
  ).pipe(Effect.map((answers) => answers.map((answer) => reply(answer)._tag)))

/** When a test is given up, ms: it waits for a detector, several times, and a busy machine makes detectors patient (R22). */
const hangs = 240_000

const allocatedTimes = (count: number) => Array.from({ length: count }, () => "Allocated")

layer(TheScene.layer({ runners: 2, gateways: 2 }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("G5 R1 R5: a runner that stands still amid a commit (SIGSTOP past its lease, then SIGCONT)", () => {
    it.scoped(
      "its commit that landed unheard is told by its successor, and nothing that it says later counts",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          yield* whole(scene)
          const { books, fronts: [front] } = scene
          const product = "frozen-after"
          yield* openProduct(front, product, 20)
          expect(yield* buy(scene, product, 1)).toEqual(["Allocated"])
          const unlock = yield* lockRow(books, product)
          const ticket = yield* mintTicket
          const asking = yield* Effect.fork(insist(random, [front], product, onePiece(ticket)))
          const owner = yield* waitingRunner(scene)
          yield* owner.freeze
          yield* unlock
          // The server commits; the owner has its answer in a buffer and reads it when others have gone on.
          yield* until("the commit lands", Effect.map(books.holding([ticket]), (rows) => rows.length > 0))
          expect(reply(yield* Fiber.join(asking))).toMatchObject({ _tag: "Allocated", sequence: 2 })
          expect(yield* buy(scene, product, 3)).toEqual(allocatedTimes(3))
          const busy = yield* Effect.fork(buy(scene, product, 10))
          yield* owner.thaw
          expect(yield* Fiber.join(busy)).toEqual(allocatedTimes(10))
          expect(reply(yield* insist(random, scene.fronts, product, onePiece(ticket)))).toMatchObject({ sequence: 2 })
          expect(yield* read(scene, product)).toMatchObject({ available: 5, allocated: 15 })
          expectRight(yield* judgeScene(scene, new Set([product])))
        }),
      hangs
    )

    it.scoped(
      "its commit that is still on its way and its successor's exclude each other",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          yield* whole(scene)
          const { books, cluster: { gateways }, fronts, history } = scene
          const product = "frozen-before"
          yield* openProduct(fronts[0], product, 2)
          expect(yield* buy(scene, product, 1)).toEqual(["Allocated"])
          const unlock = yield* lockRow(books, product)
          const first = yield* mintTicket
          const second = yield* mintTicket
          // Asked through a gateway that dies: the successor never hears of it, so that the ticket's key tells nothing.
          const doomed = gateways[1]!
          const front = yield* openFront(doomed.url, history)
          const asking = yield* Effect.fork(front.tell(product, onePiece(first)))
          const owner = yield* waitingRunner(scene)
          yield* owner.freeze
          yield* doomed.kill
          // One piece is left and both want it: the frozen one's commit waits, and then its successor's does, too.
          const other = yield* Effect.fork(insist(random, [fronts[0]], product, onePiece(second)))
          yield* waitingRunner(scene, owner)
          yield* unlock
          const told = reply(yield* Fiber.join(other))._tag
          yield* owner.thaw
          yield* Fiber.interrupt(asking)
          yield* doomed.start
          // The detector may have ended the frozen one's session, and its commit with it; who asked second may have given up.
          const holders = (yield* books.holding([first, second])).map(({ ticket }) => ticket)
          expect(holders.length).toBeLessThanOrEqual(1)
          if (told === "Allocated") expect(holders).toEqual([second])
          else if (told === "SoldOut") expect(holders).toEqual([first])
          else {
            expect(told).toBe("TimedOut")
            expect(holders).not.toContain(second)
          }
          if (told !== "TimedOut") {
            expect(yield* read(scene, product)).toMatchObject({ available: 0, allocated: 2 })
          }
          expectRight(yield* judgeScene(scene, new Set([product])))
        }),
      hangs
    )

    it.scoped(
      "what it was asked while it stood still it does not answer from what it remembers",
      () =>
        Effect.gen(function*() {
          const scene = yield* TheScene
          yield* whole(scene)
          const { books, fronts } = scene
          const [, second = fronts[0]] = fronts
          const product = "frozen-asked"
          yield* openProduct(fronts[0], product, 3)
          // The gateways have learnt who owns it.
          for (const front of fronts) yield* front.tell(product, { _tag: "ReadStock" })
          const unlock = yield* lockRow(books, product)
          const lost = yield* mintTicket
          const asking = yield* Effect.fork(insist(random, [fronts[0]], product, onePiece(lost)))
          const owner = yield* waitingRunner(scene)
          yield* unlock
          yield* Fiber.join(asking)
          // These reach the owner's socket and wait there; it will read them when all is sold.
          const late = yield* mintTicket
          yield* owner.freeze
          const asked = yield* Effect.fork(
            Effect.all([
              fronts[0].tell(product, { _tag: "ReadStock" }, 30_000),
              fronts[0].tell(product, onePiece(late), 30_000)
            ], { concurrency: 2 })
          )
          yield* until(
            "a successor sells",
            Effect.map(second.tell(product, { _tag: "ReadStock" }, 2_000), (answer) => answer._tag === "Reply"),
            "40 seconds"
          )
          yield* buy(scene, product, 3)
          yield* owner.thaw
          yield* Fiber.join(asked)
          expect(yield* read(scene, product)).toMatchObject({ available: 0, allocated: 3 })
          expectRight(yield* judgeScene(scene, new Set([product])))
        }),
      hangs
    )
  })
})
