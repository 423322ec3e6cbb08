/**
 * What a member costs as an entity of the cluster library, used as its documentation shows: one entity per member, which
 * keeps the same state as our Member actor. In memory, one runner, so that nothing else is counted.
 */
import { Entity, TestRunner } from "@effect/cluster"
import { Rpc } from "@effect/rpc"
import { unknownMember } from "@hikyaku/domain/marketing/MemberState"
import { Duration, Effect, Layer, Runtime, Schema } from "effect"
import { serve } from "./Asked.ts"

const PlainMember = Entity.make("PlainMember", [Rpc.make("Read", { success: Schema.Number })])

const members = PlainMember.toLayer(
  Effect.gen(function*() {
    const { entityId } = yield* Entity.CurrentAddress
    const state = unknownMember(entityId)
    return PlainMember.of({ Read: () => Effect.succeed(state.decisions) })
  }),
  { maxIdleTime: Duration.infinity }
).pipe(Layer.provideMerge(TestRunner.layer))

export interface Question {
  readonly op: "touch"
  readonly count: number
}

const program = Effect.gen(function*() {
  const client = yield* PlainMember.client
  const runtime = yield* Effect.runtime<never>()
  serve(({ count }: Question) =>
    Runtime.runPromise(runtime)(
      Effect.forEach(Array.from({ length: count }, (_, i) => `m${i}`), (id) => client(id).Read(), {
        concurrency: 64
      })
    ).then((answers) => answers.length)
  )
  return yield* Effect.never
})

Effect.runFork(Effect.provide(program, members))
