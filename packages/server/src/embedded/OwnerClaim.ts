/**
 * Who owns the data: at most one living process at a time. Keyed by the folder that holds
 * the data; written by whoever starts an embedded PostgreSQL on it.
 *
 * A lock file that is removed when its owner is found dead has a gap: two processes may
 * both find it dead, and the second then removes the first one's new lock. So claims are
 * numbered, `owner-1.json`, `owner-2.json`, ...; the highest counts, whoever takes over
 * creates the next number (which only one can), and the highest is never removed, only
 * marked as released.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { attempt, createText, readText, replaceText } from "./DataFile.ts"
import { DataFolderUnusable, DataInUse } from "./EmbeddedPostgresError.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"

/** `stopping` lets the next start wait for the orderly end instead of being refused. */
const Claim = Schema.Struct({
  owner: ProcessIdentity.ProcessIdentity,
  state: Schema.Literal("running", "stopping", "released")
})
type Claim = typeof Claim.Type

const encode = Schema.encodeSync(Schema.parseJson(Claim))
const decode = Schema.decodeUnknownOption(Schema.parseJson(Claim))

/** How often one start races for the next number before it gives up; each lost race means that somebody else won. */
const racesMax = 20

/** Longest wait for an owner that is stopping; a bit more than its server may take (`ServerProcess`). */
const stoppingWait = "60 seconds"
const stoppingPoll = "50 millis"

const claimFile = (folder: string, number: number) => path.join(folder, `owner-${number}.json`)

const claimNumbers = (folder: string) =>
  attempt(folder, "listing it", async () =>
    (await fs.readdir(folder))
      .map((name) => /^owner-(\d{1,15})\.json$/.exec(name)?.[1])
      .filter((digits) => digits !== undefined)
      .map(Number)
      .sort((a, b) => b - a))

/** The highest claim; one that cannot be read was never written by us in one piece, and counts as released. */
const current = (folder: string) =>
  Effect.gen(function*() {
    const number = (yield* claimNumbers(folder))[0] ?? 0
    if (number === 0) return { number, claim: Option.none<Claim>() }
    const text = yield* readText(claimFile(folder, number))
    return { number, claim: text === undefined ? Option.none<Claim>() : decode(text) }
  })

/** The living process that owns the folder, if any. */
export const livingOwner = (
  folder: string
): Effect.Effect<Option.Option<Claim>, DataFolderUnusable> =>
  Effect.gen(function*() {
    const { claim } = yield* current(folder)
    if (Option.isNone(claim) || claim.value.state === "released") return Option.none()
    return (yield* ProcessIdentity.isAlive(claim.value.owner)) ? claim : Option.none()
  })

/** One attempt: the number that was won, `lost` when another won it, or the claim that stands in the way. */
const race = (folder: string, owner: ProcessIdentity.ProcessIdentity) =>
  Effect.gen(function*() {
    const { number } = yield* current(folder)
    const living = yield* livingOwner(folder)
    if (Option.isSome(living)) return living.value
    const mine = number + 1
    if (!(yield* createText(claimFile(folder, mine), encode({ owner, state: "running" })))) return "lost" as const
    const numbers = yield* claimNumbers(folder)
    // Somebody went past us meanwhile and removed the lower numbers, ours among them before it existed.
    if (numbers[0] !== mine) {
      yield* attempt(folder, "withdrawing a claim", () => fs.rm(claimFile(folder, mine), { force: true }))
      return "lost" as const
    }
    yield* Effect.forEach(
      numbers.slice(1),
      (lower) => attempt(folder, "removing an old claim", () => fs.rm(claimFile(folder, lower), { force: true })),
      { discard: true }
    )
    return mine
  })

const win = (
  folder: string,
  owner: ProcessIdentity.ProcessIdentity
): Effect.Effect<number, DataFolderUnusable | DataInUse> =>
  Effect.gen(function*() {
    for (let races = 0; races < racesMax; races++) {
      const outcome = yield* race(folder, owner)
      if (typeof outcome === "number") return outcome
      if (outcome === "lost") continue
      if (outcome.state !== "stopping") {
        return yield* new DataInUse({ folder, ownerPid: outcome.owner.pid, serverPid: null })
      }
      yield* livingOwner(folder).pipe(
        Effect.repeat({
          until: (living) => Option.isNone(living) || living.value.state !== "stopping",
          schedule: Schedule.spaced(stoppingPoll)
        }),
        Effect.interruptible,
        Effect.timeoutFail({
          duration: stoppingWait,
          onTimeout: () => new DataInUse({ folder, ownerPid: outcome.owner.pid, serverPid: null })
        })
      )
    }
    return yield* new DataFolderUnusable({
      folder,
      reason: `${racesMax} other starts took it in turn`,
      advice: "Start again when they have ended."
    })
  })

/** A claim that is held. */
export interface OwnerClaim {
  /** Tells the next start that the end is near; called first thing when stopping. */
  readonly stopping: Effect.Effect<void>
}

/**
 * Takes the folder for this process until the scope closes. Refused with `DataInUse` while
 * another living process (a frozen one included) owns it; waits for one that is stopping.
 */
export const acquire = (
  folder: string
): Effect.Effect<OwnerClaim, DataFolderUnusable | DataInUse, Scope.Scope> =>
  Effect.gen(function*() {
    const owner = yield* ProcessIdentity.self
    const number = yield* Effect.acquireRelease(
      win(folder, owner),
      (won) =>
        // Left as it is when that fails: a dead owner's claim counts as released too.
        Effect.ignore(replaceText(claimFile(folder, won), encode({ owner, state: "released" })))
    )
    return {
      stopping: Effect.ignore(replaceText(claimFile(folder, number), encode({ owner, state: "stopping" })))
    }
  })
