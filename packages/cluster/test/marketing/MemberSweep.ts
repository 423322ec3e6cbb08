import { Journal } from "@hikyaku/cluster/actor/Journal"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { makeSweep } from "@hikyaku/cluster/actor/Sweep"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { Effect } from "effect"

/** The cell that actors of tests live in. */
const here = "local"

/** What asks members in sweeps; those who are `away` live in another process. */
export const memberSweep = (away: (member: string) => boolean = () => false) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const clock = yield* ShopClock
    return makeSweep({
      kind: memberKind,
      journal: journal.of(memberKind),
      generation: journal.generation,
      clock,
      monotonic: () => performance.now(),
      incarnation: "sweep",
      home: (member) => away(member) ? "elsewhere" : here,
      hosts: (cell) => cell === here
    })
  })
