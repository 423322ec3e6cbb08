/** Decides one actor's commands of one round on a working copy, and turns what came of it into one unit of work. */
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { ActorKind, Fact } from "./ActorKind.ts"
import type { Fence, Outcome, Unit, UnitChange } from "./Journal.ts"
import { RowWriter } from "./Table.ts"

export interface Live<State> {
  readonly state: State
  readonly fence: Fence
  readonly clock: number
}

/** What is live once the unit is committed, beside the unit itself. */
export interface Built<State> {
  readonly unit: Unit
  readonly live: Live<State>
}

export class UnitBuilder<State, Command, Reply, Event> {
  readonly actor: string
  private readonly kind: ActorKind<State, Command, Reply, Event>
  private readonly base: Live<State>
  private state: State
  private clock: number
  private readonly facts: Array<Fact<State, Event>> = []
  private readonly outcomes: Array<Outcome> = []
  private readonly asked: Array<CommandId> = []
  private notAfter = Number.POSITIVE_INFINITY
  /** Where the actor lives once the unit is committed (R8). */
  cell: string
  epoch: number

  constructor(kind: ActorKind<State, Command, Reply, Event>, actor: string, base: Live<State>) {
    this.kind = kind
    this.actor = actor
    this.base = base
    this.state = base.state
    this.clock = base.clock
    this.cell = base.fence.cell
    this.epoch = base.fence.epoch
  }

  /** Nothing is stored of the actor, nor will be by what has been decided so far. */
  get unborn(): boolean {
    return this.base.fence.version === 0 && this.facts.length === 0 && this.outcomes.length === 0
  }

  /** Moves the actor to another cell (R8). */
  move(cell: string, outcome: Outcome, notAfter: number): void {
    this.cell = cell
    this.epoch++
    this.outcomes.push(outcome)
    if (notAfter < this.notAfter) this.notAfter = notAfter
  }

  /**
   * Decides one command; says what it answers and whether that is an outcome on record. Throws what the decider throws, and
   * then has not changed anything. Without an id nothing of it goes on record: nobody can repeat it by one (R3).
   */
  decide(
    command: Command,
    now: number,
    id: CommandId | null,
    hash: string,
    notAfter: number
  ): { readonly reply: Reply; readonly final: boolean } {
    const at = Math.max(now, this.clock)
    const facts: Array<Fact<State, Event>> = []
    const { decider } = this.kind
    const { events, final, reply } = decider.decide(this.state, command, at)
    let state = this.state
    for (const event of events) {
      const after = decider.evolve(state, event)
      facts.push({ id: this.actor, before: state, after, event, now: at })
      state = after
    }
    const outcome = final && id !== null ? { command: id, hash, reply: plain(reply) } : null
    // Nothing fails from here on.
    this.state = state
    this.clock = at
    for (const fact of facts) this.facts.push(fact)
    if (outcome !== null) this.outcomes.push(outcome)
    else if (id !== null) this.asked.push(id)
    // A read may be late without harm: what it says was true.
    if ((final || facts.length > 0) && notAfter < this.notAfter) this.notAfter = notAfter
    return { reply, final }
  }

  /** A command that is answered without being decided: its answer leaves only if the id is not on record (R3). */
  ask(id: CommandId): void {
    this.asked.push(id)
  }

  /** The unit, and what is live once it is committed. Throws what the kind's mapping to rows throws. */
  build(writer: string): Built<State> {
    const { base, kind } = this
    if (this.facts.length === 0 && this.outcomes.length === 0) return this.check(writer)
    const rows = new RowWriter()
    const outbox: Array<UnitChange["outbox"][number]> = []
    for (const fact of this.facts) {
      kind.write(rows, fact)
      for (const happening of kind.publish(fact)) outbox.push({ at: fact.now, happening })
    }
    const { cell, epoch } = this
    const steady = kind.steady !== undefined && base.fence.version > 0 && kind.steady.same(base.state, this.state)
    const change: UnitChange = {
      main: kind.mainRow(this.state),
      ...(steady && { steady }),
      clock: this.clock,
      dueAt: kind.decider.dueAt(this.state),
      cell,
      epoch,
      outcomes: this.outcomes,
      rows: rows.all(),
      outbox
    }
    return {
      unit: {
        actor: this.actor,
        base: base.fence,
        writer,
        change,
        asked: this.asked,
        notAfter: Number.isFinite(this.notAfter) ? this.notAfter : null
      },
      live: {
        state: this.state,
        fence: { version: base.fence.version + 1, writer, cell, epoch },
        clock: this.clock
      }
    }
  }

  /** A unit that writes nothing and confirms that the actor is where these decisions began (R1). */
  check(writer: string): Built<State> {
    const { base } = this
    const asked = [...this.asked, ...this.outcomes.map((outcome) => outcome.command)]
    return {
      unit: { actor: this.actor, base: base.fence, writer, change: null, asked, notAfter: null },
      // A read has told what time it is; the next command must not be decided earlier (R6).
      live: { ...base, clock: this.clock }
    }
  }

  /** Outcomes that the unit will put on record. */
  get recorded(): ReadonlyArray<Outcome> {
    return this.outcomes
  }
}

const plain = (reply: unknown): object => {
  if (typeof reply !== "object" || reply === null) throw new Error("a final reply is an object")
  return reply
}
