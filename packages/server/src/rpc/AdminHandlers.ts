/** For operators: health, figures, the audit of the books. */
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { AdminApi } from "@hikyaku/domain/api/AdminApi"
import { Context, Effect } from "effect"
import { Health } from "../http/Health.ts"
import { AdminQuery } from "./AdminQuery.ts"

/** Products that one call of the audit checks where it does not say. */
const auditDefault = 1_000

/** The version that this process runs, as `admin.health` tells it. */
export class Version extends Context.Reference<Version>()("@hikyaku/server/Version", {
  defaultValue: () => "0.1.0"
}) {}

export const layer = AdminApi.toLayer(Effect.gen(function*() {
  const health = yield* Health
  const query = yield* AdminQuery
  const clock = yield* ShopClock
  const version = yield* Version
  return AdminApi.of({
    "admin.health": () =>
      Effect.map(health.components, (components) => ({
        ok: components.every(({ ok }) => ok),
        version,
        now: clock.now(),
        logical: clock.logical(),
        components
      })),
    "admin.report": () => query.report,
    "admin.audit": ({ after, limit }) => query.audit(after ?? "", limit ?? auditDefault)
  })
}))
