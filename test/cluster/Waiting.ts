/** Commits that a test makes wait: it locks a product's row, and sees whose commits stand in line for it. */
import type { ProductId } from "@hikyaku/domain/Identifier"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Books } from "./Books.ts"
import { HarnessFault, type Member } from "./Harness.ts"
import { type Scene, until } from "./Scene.ts"

/** Keeps a product's row locked, so that whoever commits to it waits; until the effect that it gives is run. */
export const lockRow = ({ sql }: Books, product: ProductId): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
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

/** Names of the runners whose commits wait for a lock now. */
const waiting = ({ sql }: Books): Effect.Effect<ReadonlyArray<string>> =>
  sql<{ readonly name: string }>`select distinct usename as name from pg_stat_activity
    where wait_event_type = 'Lock' and application_name like 'hikyaku-journal%' and usename like 'runner-%'`.pipe(
    Effect.map((rows) => rows.map(({ name }) => name)),
    Effect.orDie
  )

/** Waits for a runner whose commit waits; `except`: it must be another one. */
export const waitingRunner = (
  { books, cluster }: Scene,
  except?: Member
): Effect.Effect<Member, HarnessFault> =>
  Effect.gen(function*() {
    let found: Member | undefined
    yield* until(
      "a commit waits",
      Effect.map(waiting(books), (names) => {
        found = cluster.runners.find((runner) => runner !== except && names.includes(runner.name))
        return found !== undefined
      }),
      "30 seconds"
    )
    return found ?? (yield* new HarnessFault({ message: "nobody commits" }))
  })
