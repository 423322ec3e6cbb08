/**
 * Random walks of a decider: commands one after another while time goes on, timers fired in time or late, and after every
 * step the invariants. A failure is shrunk and printed with its seed; `parameters: { seed, path }` replays it.
 */
import { Schema } from "effect"
import * as fc from "fast-check"
import { type Decider, run } from "../Actor.ts"
import { canonical, expectSame } from "./Mismatch.ts"

/** One decided command. */
export interface Step<State, Command, Reply, Event> {
  readonly command: Command
  /** ms since the epoch. */
  readonly now: number
  readonly before: State
  readonly after: State
  readonly reply: Reply
  readonly events: ReadonlyArray<Event>
  readonly final: boolean
}

/** Commands with the time before each (ms), and whether timers that fall into it fire in time or not at all. */
export type Strides<Command> = ReadonlyArray<{
  readonly advance: number
  readonly timely: boolean
  readonly command: Command
}>

/** ms since the epoch at which walks begin where nothing else is said. */
export const startDefault = 1_760_000_000_000
/** Commands per walk where nothing else is said. */
const lengthDefault = 60
/** Timers fired before one command: an actor that is due again and again at the same instant is a fault. */
const timersMax = 10_000

/** Arbitrary walks. `advance`: ms before each command; by default nothing, a second, up to an hour. */
export const strides = <Command>(
  commands: fc.Arbitrary<Command>,
  advance: fc.Arbitrary<number> = fc.oneof(fc.constant(0), fc.constant(1_000), fc.nat(3_600_000)),
  length: number = lengthDefault
): fc.Arbitrary<Strides<Command>> =>
  fc.array(fc.record({ advance, timely: fc.boolean(), command: commands }), { maxLength: length, size: "max" })

/** Takes one walk and gives all its steps, timers included. */
export const walk = <State, Command, Reply, Event>(
  decider: Decider<State, Command, Reply, Event>,
  id: string,
  steps: Strides<Command>,
  onStep: (step: Step<State, Command, Reply, Event>) => void = () => {},
  startAt: number = startDefault
): ReadonlyArray<Step<State, Command, Reply, Event>> => {
  const taken: Array<Step<State, Command, Reply, Event>> = []
  let state = decider.initial(id)
  let now = startAt
  const take = (command: Command) => {
    const { decision, state: after } = run(decider, state, command, now)
    const step = { command, now, before: state, after, ...decision }
    taken.push(step)
    onStep(step)
    state = after
  }
  for (const { advance, command, timely } of steps) {
    const until = now + advance
    for (let fired = 0; timely; fired++) {
      const due = decider.dueAt(state)
      if (due === null || due > until) break
      if (fired >= timersMax) throw new Error(`due again after ${fired} timers, at ${due}`)
      now = Math.max(now, due)
      take(decider.wake)
    }
    now = until
    take(command)
  }
  return taken
}

export interface WalkOptions<State, Command, Reply, Event, Memory> {
  readonly id: string
  readonly strides: fc.Arbitrary<Strides<Command>>
  /** What an observer knows before the first step, and learns from each; a fresh one per walk. */
  readonly observe?: {
    readonly initial: () => Memory
    readonly learn: (memory: Memory, step: Step<State, Command, Reply, Event>) => Memory
  }
  /** By name, what must hold after every step: true, or what is wrong. `memory` is from before the step. */
  readonly invariants: Readonly<
    Record<string, (step: Step<State, Command, Reply, Event>, memory: Memory) => true | string>
  >
  /** With them, everything that is sent or answered has to survive the way through JSON. */
  readonly schemas?: {
    readonly command: Schema.Schema<Command>
    readonly reply: Schema.Schema<Reply>
    readonly event?: Schema.Schema<Event>
  }
  /** fast-check's: `numRuns`, and `seed` and `path` to replay. */
  readonly parameters?: fc.Parameters<[Strides<Command>]>
}

const survives = <A>(what: string, schema: Schema.Schema<A>, value: A): void => {
  const sent: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value)))
  expectSame(`${what} after its way through JSON`, value, Schema.decodeUnknownSync(schema)(sent))
}

/**
 * Checks a decider on random walks. Besides the invariants given, what every decider owes the runtime: it decides the same
 * again from the same state, also after that state has been left behind (nothing is changed in place), and what it is sent
 * and says survives JSON.
 */
export const checkDecider = <State, Command, Reply, Event, Memory = undefined>(
  decider: Decider<State, Command, Reply, Event>,
  options: WalkOptions<State, Command, Reply, Event, Memory>
): void => {
  fc.assert(
    fc.property(options.strides, (steps) => {
      // Without an observer there is nothing to remember, and no invariant reads it.
      let memory = options.observe?.initial() as Memory
      walk(decider, options.id, steps, (step) => {
        const again = decider.decide(step.before, step.command, step.now)
        expectSame("decided again from the same state", { reply: step.reply, events: step.events }, {
          reply: again.reply,
          events: again.events
        })
        if (options.schemas !== undefined) {
          survives("command", options.schemas.command, step.command)
          survives("reply", options.schemas.reply, step.reply)
          const { event: schema } = options.schemas
          if (schema !== undefined) step.events.forEach((event) => survives("event", schema, event))
        }
        for (const [name, holds] of Object.entries(options.invariants)) {
          const verdict = holds(step, memory)
          if (verdict !== true) {
            throw new Error(
              `${name}: ${verdict}\nat ${step.now}, ${canonical(step.command)}\nreply ${canonical(step.reply)}\n` +
                `events ${canonical(step.events)}`
            )
          }
        }
        if (options.observe !== undefined) memory = options.observe.learn(memory, step)
      })
    }),
    options.parameters
  )
}
