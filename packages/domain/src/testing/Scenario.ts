/** Given/when/then for any decider: a past, one command, and what must come of it. */
import { type Decider, type Decision, run } from "../Actor.ts"
import { expectSame, Mismatch } from "./Mismatch.ts"

/** A past. Every method gives a new one; the old one can be continued in another way. */
export interface Given<State, Command, Reply, Event> {
  readonly state: State
  /** Facts that happened. */
  readonly events: (...events: ReadonlyArray<Event>) => Given<State, Command, Reply, Event>
  /** Commands that were executed at `now` (ms since the epoch), whatever they were answered. */
  readonly commands: (now: number, ...commands: ReadonlyArray<Command>) => Given<State, Command, Reply, Event>
  /** The command under test, at `now` (ms since the epoch). */
  readonly when: (command: Command, now: number) => Then<State, Command, Reply, Event>
  /** Fires the timer at `now` if the actor is due by then, as the runtime would. */
  readonly whenTimer: (now: number) => Then<State, Command, Reply, Event>
}

/** What came of it. The methods throw a `Mismatch` if it is not what is expected, and can be chained. */
export interface Then<State, Command, Reply, Event> {
  readonly decision: Decision<Reply, Event>
  readonly state: State
  readonly reply: (expected: Reply) => Then<State, Command, Reply, Event>
  /** All facts, in order. */
  readonly events: (...expected: ReadonlyArray<Event>) => Then<State, Command, Reply, Event>
  /** Nothing happened. */
  readonly nothing: () => Then<State, Command, Reply, Event>
  /** A repeat must get the same reply (R3): the decision was final. Else it was an answer. */
  readonly final: (expected: boolean) => Then<State, Command, Reply, Event>
  /** A property of the state after it; `expected` is compared by content. */
  readonly has: <A>(what: (state: State) => A, expected: A) => Then<State, Command, Reply, Event>
  /** When the actor is due next, ms since the epoch, or null. */
  readonly due: (expected: number | null) => Then<State, Command, Reply, Event>
  /** Goes on from here. */
  readonly and: Given<State, Command, Reply, Event>
}

const past = <State, Command, Reply, Event>(
  decider: Decider<State, Command, Reply, Event>,
  state: State
): Given<State, Command, Reply, Event> => ({
  state,
  events: (...events) => past(decider, events.reduce(decider.evolve, state)),
  commands: (now, ...commands) =>
    past(decider, commands.reduce((before, command) => run(decider, before, command, now).state, state)),
  when: (command, now) => {
    const { decision, state: after } = run(decider, state, command, now)
    return result(decider, decision, after)
  },
  whenTimer: (now) => {
    const due = decider.dueAt(state)
    if (due === null || due > now) throw new Mismatch("the timer is due", `at most ${now}`, due)
    const { decision, state: after } = run(decider, state, decider.wake, now)
    return result(decider, decision, after)
  }
})

const result = <State, Command, Reply, Event>(
  decider: Decider<State, Command, Reply, Event>,
  decision: Decision<Reply, Event>,
  state: State
): Then<State, Command, Reply, Event> => {
  const then: Then<State, Command, Reply, Event> = {
    decision,
    state,
    reply: (expected) => {
      expectSame("reply", expected, decision.reply)
      return then
    },
    events: (...expected) => {
      expectSame("events", expected, decision.events)
      return then
    },
    nothing: () => {
      expectSame("events", [], decision.events)
      return then
    },
    final: (expected) => {
      expectSame("final", expected, decision.final)
      return then
    },
    has: (what, expected) => {
      expectSame("state", expected, what(state))
      return then
    },
    due: (expected) => {
      expectSame("due", expected, decider.dueAt(state))
      return then
    },
    and: past(decider, state)
  }
  return then
}

/** An actor of which nothing is stored yet. */
export const given = <State, Command, Reply, Event>(
  decider: Decider<State, Command, Reply, Event>,
  id: string
): Given<State, Command, Reply, Event> => past(decider, decider.initial(id))
