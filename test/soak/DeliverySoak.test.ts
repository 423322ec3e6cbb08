/** `npm run soak -- delivery --recipients 200000`: nothing without it, since it is about time and needs a machine of its own. */
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { workMs } from "../../bench/dispatch/Mix.ts"
import { concurrency, deliveryKill } from "../cluster/DeliveryKill.ts"
import { course, deliveryLines, deliveryTable, idleTable, largeLists } from "./DeliverySoak.ts"
import { display } from "./Display.ts"

const recipients = Effect.runSync(Config.integer("HIKYAKU_SOAK_RECIPIENTS").pipe(Config.withDefault(0)))
/** How long it may take: three times what the provider needs, and what starting, failover and judging take. */
const minutes = 3 * workMs(recipients, largeLists) / concurrency / 60_000 + 5

describe.runIf(recipients > 0)("G9 G10 G11 G12: a batch and realtime mails, through two kill -9 of the runner", () => {
  it.scopedLive(`${recipients} recipients`, () =>
    Effect.gen(function*() {
      const report = yield* deliveryKill({ recipients, takes: largeLists, minutes, progress: display() })
      const lines = deliveryLines(report, largeLists)
      process.stderr.write(`\n${deliveryTable(lines)}\n\n${idleTable(report)}\n\n${course(report)}\n`)
      expect(lines.filter(({ passes }) => passes === false)).toEqual([])
    }), minutes * 60_000 + 120_000)
})
