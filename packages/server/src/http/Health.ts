/**
 * Whether the process is well: `/health/live` (it answers at all), `/health/ready` (everything it needs is there, so that
 * a load balancer may send it work). What it needs is a list of components, to which any part of the process may add.
 */
import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { SqlClient } from "@effect/sql"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import type { Component } from "@hikyaku/domain/api/AdminApi"
import { Cause, Context, Duration, Effect, Layer, type Scope } from "effect"

/** Longest that one component may take to answer. */
const checkTimeout = Duration.seconds(2)
/** How long an answer is good for: however often somebody asks, the store is asked once in that time. */
const cacheFor = Duration.seconds(1)
/** Never a real product: an answer about it proves that some runner answers. */
const probe = "health-probe"

/** One component's check: what there is to know when it is well, a failure that says what is wrong when it is not. */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<string, unknown>
}

export class Health extends Context.Tag("@hikyaku/server/Health")<Health, {
  readonly components: Effect.Effect<ReadonlyArray<Component>>
  /** Adds a component for as long as the scope lasts. */
  readonly add: (check: Check) => Effect.Effect<void, never, Scope.Scope>
}>() {}

const judge = ({ check, name }: Check): Effect.Effect<Component> =>
  check.pipe(
    Effect.timeoutFail({
      duration: checkTimeout,
      onTimeout: () => `no answer within ${Duration.format(checkTimeout)}`
    }),
    Effect.map((detail) => ({ name, ok: true, detail })),
    Effect.catchAllCause((cause) => {
      const failure = Cause.squash(cause)
      return Effect.succeed({ name, ok: false, detail: failure instanceof Error ? failure.message : String(failure) })
    })
  )

const make = Effect.gen(function*() {
  const checks = new Set<Check>()
  const add = (check: Check) =>
    Effect.acquireRelease(Effect.sync(() => checks.add(check)), () => Effect.sync(() => checks.delete(check)))
  const components = yield* Effect.cachedWithTTL(
    Effect.suspend(() => Effect.forEach([...checks], judge, { concurrency: "unbounded" })),
    cacheFor
  )
  return Health.of({ add, components })
})

/** Without any component; add them. */
export const layer: Layer.Layer<Health> = Layer.effect(Health, make)

/** The store, and the runners behind the actors. */
export const layerChecks: Layer.Layer<never, never, Health | SqlClient.SqlClient | ActorClient> = Layer.scopedDiscard(
  Effect.gen(function*() {
    const health = yield* Health
    const sql = yield* SqlClient.SqlClient
    const actors = yield* ActorClient
    yield* health.add({
      name: "store",
      check: sql<{ readonly version: string }>`select current_setting('server_version') as version`.pipe(
        Effect.map((rows) => `PostgreSQL ${rows[0]?.version ?? "?"}`)
      )
    })
    yield* health.add({
      name: "runners",
      check: actors.send(productKind, {
        actor: probe,
        command: { _tag: "ReadStock" },
        within: Duration.toMillis(checkTimeout)
      }).pipe(Effect.as("actors answer"))
    })
  })
)

const text = (body: object, status: number) => HttpServerResponse.unsafeJson(body, { status })

export const routes: Layer.Layer<never, never, HttpLayerRouter.HttpRouter | Health> = Layer.scopedDiscard(
  Effect.gen(function*() {
    const router = yield* HttpLayerRouter.HttpRouter
    const health = yield* Health
    yield* router.add("GET", "/health/live", text({ ok: true }, 200))
    yield* router.add(
      "GET",
      "/health/ready",
      Effect.map(health.components, (components) => {
        const ok = components.every((component) => component.ok)
        return text({ ok, components }, ok ? 200 : 503)
      })
    )
  })
)
