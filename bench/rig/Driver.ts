/**
 * A gateway with its callers in the same process: a member of the cluster that hosts nothing and calls actors through the
 * ActorClient, as the API's handlers do. Told what to do by the bench.
 */
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import * as ClusterRunner from "@hikyaku/cluster/Runner"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand, CampaignReply } from "@hikyaku/domain/marketing/CampaignCommand"
import { databaseLayer, gatewayLayer } from "@hikyaku/server/ClusterNode"
import { Cause, Config, Effect, Either, Exit, Layer, Runtime } from "effect"
import { serve } from "./Asked.ts"
import { type Add, type Closed, closed, type Open, open, overloadedTag } from "./Load.ts"

export type Question =
  | { readonly op: "closed"; readonly load: Closed }
  | { readonly op: "open"; readonly loads: ReadonlyArray<Open> }
  /** Has every actor answer once, in pages: `${prefix}0` to `${prefix}${count - 1}`. Answers how many did. */
  | { readonly op: "touch"; readonly kind: "Product" | "Member"; readonly prefix: string; readonly count: number }
  /** Stores a campaign's definition. */
  | { readonly op: "define"; readonly definition: CampaignDefinition; readonly timeZone: string }
  /** Starts a run by hand; answers its id. */
  | { readonly op: "runNow"; readonly campaign: string; readonly product: string }

const readStock = { _tag: "ReadStock" } as const
const readMember = { _tag: "ReadMember" } as const
const answered = (answers: ReadonlyArray<Either.Either<unknown, unknown>>): ReadonlyArray<boolean> =>
  answers.map((answer) => Either.isRight(answer))

/** Actors in one page: one page is under way at a time. */
const touchPage = 2_000
/** How often an actor is asked that does not answer. */
const attemptsMax = 3
/** Longest that an add may take, ms: what takes longer is a failure of the bench. */
const within = 20_000

const program = Effect.gen(function*() {
  const actors = yield* ActorClient
  const runtime = yield* Effect.runtime<never>()
  const fork = Runtime.runFork(runtime)

  const add: Add = ({ member, product, ticket }, done) => {
    fork(actors.send(productKind, {
      actor: product,
      id: ticket,
      command: { _tag: "AddToCart", ticket, member, quantity: 1, waitlist: false },
      within
    })).addObserver((exit) =>
      done(
        Exit.isSuccess(exit)
          ? exit.value._tag
          : exit.cause._tag === "Fail"
          ? exit.cause.error._tag === "Overloaded" ? overloadedTag : `Failed: ${exit.cause.error._tag}`
          : `Failed: ${Cause.pretty(exit.cause)}`
      )
    )
  }

  /** Which of them answered. */
  const ask = (kind: "Product" | "Member", ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<boolean>> =>
    kind === "Product"
      ? Effect.map(actors.sendAll(productKind, ids.map((actor) => ({ actor, command: readStock, within }))), answered)
      : Effect.map(actors.sendAll(memberKind, ids.map((actor) => ({ actor, command: readMember, within }))), answered)

  const touch = (kind: "Product" | "Member", prefix: string, all: number) =>
    Effect.gen(function*() {
      let count = 0
      for (let from = 0; from < all; from += touchPage) {
        let ids = Array.from({ length: Math.min(touchPage, all - from) }, (_, i) => `${prefix}${from + i}`)
        for (let attempt = 0; attempt < attemptsMax && ids.length > 0; attempt++) {
          const answers = yield* ask(kind, ids)
          const open = ids.filter((_, i) => answers[i] !== true)
          count += ids.length - open.length
          ids = open
        }
      }
      return count
    })

  const told = (campaign: string, command: CampaignCommand): Promise<CampaignReply> =>
    Runtime.runPromise(runtime)(actors.send(campaignKind, { actor: campaign, command, within }))

  const answer = (question: Question): Promise<unknown> => {
    switch (question.op) {
      case "closed":
        return closed(add, question.load)
      case "open":
        return open(add, question.loads)
      case "define":
        return told(question.definition.id, {
          _tag: "Define",
          definition: question.definition,
          author: "bench",
          timeZone: question.timeZone
        })
      case "runNow":
        return told(question.campaign, {
          _tag: "StartRunNow",
          request: commandIdFrom(Date.now(), Math.random(), Math.random(), Math.random()),
          author: "bench",
          product: question.product,
          parameters: { before: 5900, after: 4900 }
        }).then((reply) => {
          if (reply._tag !== "RunStarted") throw new Error(`no run: ${JSON.stringify(reply)}`)
          return reply.run
        })
      case "touch":
        return Runtime.runPromise(runtime)(touch(question.kind, question.prefix, question.count))
    }
  }
  serve(answer)
  return yield* Effect.never
})

const main = Effect.gen(function*() {
  const url = yield* Config.redacted("DATABASE_URL")
  const name = `bench-${globalThis.crypto.randomUUID()}`
  const layer = ClusterRunner.client.pipe(
    Layer.provideMerge(gatewayLayer(name)),
    Layer.provide(databaseLayer(url, `hikyaku-gateway ${name}`))
  )
  yield* Effect.provide(program, layer)
})

const fiber = Effect.runFork(main)
fiber.addObserver((exit) => {
  if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
    process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
  }
  process.exit(Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause) ? 0 : 1)
})
process.on("SIGTERM", () => fiber.unsafeInterruptAsFork(fiber.id()))
