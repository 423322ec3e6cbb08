/** P9. What a live, idle member actor costs in the runner's memory, beside an entity of the cluster library. */
import { type Bench, bench } from "./rig/Bench.ts"
import { defineMembers } from "./rig/Books.ts"
import { bundle, Child } from "./rig/Child.ts"
import { ActorHouse } from "./rig/House.ts"
import { sleep } from "./rig/Machine.ts"
import { atMost, rounded } from "./rig/Report.ts"

/** What a thing costs follows from the difference between many and fewer of them, all collected that can be. */
const slope = async (
  process: Pick<Child, "heap">,
  touch: (count: number) => Promise<number>,
  few: number,
  many: number
): Promise<{ readonly bytes: number; readonly ok: boolean }> => {
  const touchedFew = await touch(few)
  await sleep(settleMs)
  const before = await process.heap()
  const touchedMany = await touch(many)
  await sleep(settleMs)
  const after = await process.heap()
  return { bytes: (after.used - before.used) / (many - few), ok: touchedFew === few && touchedMany === many }
}
/** Time for what is under way to end, ms. */
const settleMs = 1_000

/** Entities that the library keeps for the comparison. */
const entities = 10_000

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { members } = run.options
    await defineMembers(database.admin, members)
    await database.admin.query("vacuum analyze member")
    const house = await ActorHouse.start(database, { flags: ["--expose-gc"] })
    try {
      const touch = (count: number) => house.touch("Member", "m", count)
      const { bytes, ok } = await slope(house.runner, touch, Math.floor(members / 4), members)
      run.report.add({ peer: "hikyaku", workload: "memory", n: members, ok, bytes_per_actor: rounded(bytes, 0) })
    } finally {
      await house.stop()
    }
  })

const plain = (run: Bench) =>
  run.turn("effect-defaults", async () => {
    const child = await Child.start({
      name: "plain-entities",
      program: bundle("rig/PlainEntities"),
      flags: ["--expose-gc"],
      environment: {}
    })
    try {
      const touch = (count: number) => child.ask<number>({ op: "touch", count })
      const { bytes, ok } = await slope(child, touch, Math.floor(entities / 4), entities)
      run.report.add({
        peer: "effect-defaults",
        workload: "memory",
        n: entities,
        ok,
        bytes_per_actor: rounded(bytes, 0)
      })
    } finally {
      await child.stop()
    }
  })

await bench("memory", async (run) => {
  // The library's entity is there for comparison: once is enough.
  await plain(run)
  await run.repeat(() => hikyaku(run))
  return run.goals((report) => {
    const ours = report.find("hikyaku", "memory")
    return [atMost("P9", "live, idle member actor", ours.bytes_per_actor ?? Number.NaN, 1024, "bytes", ours.ok)]
  })
})
