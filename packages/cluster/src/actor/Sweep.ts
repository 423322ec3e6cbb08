/**
 * A command for each of many actors of this process, most of which are not in memory: a page of a run, or what became of a
 * page of deliveries. They are loaded in one query, decided in order, committed in one group, and forgotten again. It passes
 * by the cells' queues and messages, which cost more than the decision does, and drives nobody out of their memory. What a
 * cell promises holds here for the same reason as between two runners: the fence. Who writes an actor meanwhile makes this
 * unit stale, or finds its own so (R5); nothing is answered before the commit has confirmed what it rests on (R1).
 *
 * Only for commands that the decider recognises when they are repeated, as a member does a run: there is no id, and so
 * nothing on record by which to ask again (R3). Whatever did not go smoothly is answered with null, and is then to be sent
 * to the actor as any other command is: its cell finds out why.
 */
import { Effect, ParseResult } from "effect"
import { deadlineDefault } from "./ActorClient.ts"
import type { ActorKind } from "./ActorKind.ts"
import type { KindJournal } from "./Journal.ts"
import { unborn } from "./Round.ts"
import { type Built, UnitBuilder } from "./UnitBuilder.ts"

export interface SweepOptions<State, Command, Reply, Event> {
  readonly kind: ActorKind<State, Command, Reply, Event>
  readonly journal: KindJournal<State>
  /** Grows when everything loaded must be dropped (R5). */
  readonly generation: () => number
  readonly clock: { readonly now: () => number; readonly real: () => number; readonly logical: () => boolean }
  readonly monotonic: () => number
  /** New for every start of a process: part of the fence (R5). */
  readonly incarnation: string
  /** The shared cell of an actor. */
  readonly home: (actor: string) => string
  /** Whether a cell lives in this process; the actors of others are left to them. */
  readonly hosts: (cell: string) => boolean
}

/** What one actor is asked. */
export interface Asked<Command> {
  readonly actor: string
  readonly command: Command
}

/**
 * Asks each actor; an answer per command in their order, null where it is to be sent to the actor's cell. An actor has one
 * unit in a group, and of one that is asked several things only the first; the same again gets the same answer.
 */
export type Sweep<Command, Reply> = (
  asks: ReadonlyArray<Asked<Command>>,
  /** Logical instant of a replay. */
  at: number
) => Effect.Effect<ReadonlyArray<Reply | null>>

/** ms for which a sweep decides before whatever else is ready in this process has its turn (R23). */
const sliceMax = 4

/** Lets sockets and timers have their turn. */
const giveWay = Effect.async<void>((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

export const makeSweep = <State, Command, Reply, Event>(
  { clock, generation, hosts, home, incarnation, journal, kind, monotonic }: SweepOptions<State, Command, Reply, Event>
): Sweep<Command, Reply> => {
  const isCommand = ParseResult.is(kind.command)
  return (asks, at) => {
    const own = new Map<string, Command>()
    // Mostly they are all asked the same: that is looked at once.
    const known = new Set<Command>()
    for (const { actor, command } of asks) {
      if (own.has(actor) || !hosts(home(actor)) || !(known.has(command) || isCommand(command))) continue
      known.add(command)
      own.set(actor, command)
    }
    if (own.size === 0) return Effect.succeed(asks.map(() => null))
    return Effect.gen(function*() {
      const history = generation()
      const stored = new Map((yield* journal.load([...own.keys()])).map((each) => [each.actor, each]))
      const replies = new Map<string, Reply>()
      const now = clock.logical() ? Math.max(clock.now(), at) : clock.now()
      const notAfter = clock.real() + deadlineDefault
      const decided: Array<Built<State>> = []
      const answers: Array<Reply> = []
      let since = monotonic()
      for (const [actor, command] of own) {
        if (monotonic() - since >= sliceMax) {
          yield* giveWay
          since = monotonic()
        }
        const base = stored.get(actor) ?? unborn(kind, actor, home(actor))
        // It lives elsewhere (R8).
        if (base.fence.cell !== home(actor)) continue
        // One that breaks the decider, or cannot be turned into rows, hurts only itself (R10).
        try {
          const builder = new UnitBuilder(kind, actor, base)
          const { reply } = builder.decide(command, now, null, "", notAfter)
          decided.push(builder.build(incarnation))
          answers.push(reply)
        } catch {
          continue
        }
      }
      if (generation() !== history) return replies
      const verdicts = yield* journal.commit(decided.map(({ unit }) => unit))
      decided.forEach(({ unit }, i) => {
        if (verdicts[i]?._tag === "Committed") replies.set(unit.actor, answers[i]!)
      })
      return replies
    }).pipe(
      // Whether it happened is for the actors to say: they recognise the command.
      Effect.catchTags({
        CommitUnknown: () => Effect.succeed(new Map<string, Reply>()),
        JournalUnavailable: () => Effect.succeed(new Map<string, Reply>())
      }),
      Effect.map((replies) =>
        asks.map(({ actor, command }) => own.get(actor) === command ? replies.get(actor) ?? null : null)
      )
    )
  }
}
