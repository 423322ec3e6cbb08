/**
 * What an actor kind is: a decider, a pure state machine. `now` and every id arrive in the call, so that a decider can be
 * tested with given/when/then and replayed in a simulation; nothing here knows of clusters, databases or clocks.
 */

/** What a decider answers to one command. */
export interface Decision<out Reply, out Event> {
  readonly reply: Reply
  /** Facts in the order in which they happened; empty for reads and for refusals. */
  readonly events: ReadonlyArray<Event>
  /**
   * Whether the reply is a final outcome that a repeat of the same command must get again (R3). Reads and bad input are
   * not: they leave no row, and a repeat is decided anew.
   */
  readonly final: boolean
}

/** A pure state machine: commands in, facts out. Refusals are replies; a thrown error is a fault of the program. */
export interface Decider<State, Command, out Reply, Event> {
  /** The state of an actor of which nothing is stored yet. */
  readonly initial: (id: string) => State
  /** Judges one command at the instant `now` (ms since the epoch; never runs backwards for one actor, R6). */
  readonly decide: (state: State, command: Command, now: number) => Decision<Reply, Event>
  /** Applies one fact. Must not fail: what could be refused has been refused by `decide`. */
  readonly evolve: (state: State, event: Event) => State
  /** When the actor next has to be woken (ms since the epoch), or null; stored in the same commit as the facts (R15). */
  readonly dueAt: (state: State) => number | null
  /** The command a timer sends. Must be idempotent: a timer may fire twice, or late (R15). */
  readonly wake: Command
}

/** A final outcome with its facts. */
export const outcome = <Reply, Event>(reply: Reply, ...events: ReadonlyArray<Event>): Decision<Reply, Event> => ({
  reply,
  events,
  final: true
})

/** An answer that changes nothing and need not be remembered: a read, or bad input. */
export const answer = <Reply>(reply: Reply): Decision<Reply, never> => ({ reply, events: [], final: false })

/** Runs commands one after another from a state; what `given/when/then` and the runtime share. */
export const run = <State, Command, Reply, Event>(
  decider: Decider<State, Command, Reply, Event>,
  state: State,
  command: Command,
  now: number
): { readonly state: State; readonly decision: Decision<Reply, Event> } => {
  const decision = decider.decide(state, command, now)
  return { state: decision.events.reduce(decider.evolve, state), decision }
}
