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

export class UnitBuilder<State, Command, Reply, Event> {
  readonly actor: string
  private readonly kind: ActorKind<State, Command, Reply, Event>
  private readonly base: Live<State>
  private state: State
  private clock: number
  private readonly facts: Array<Fact<State, Event>> = []
  private readonly outcomes: Array<Outcome> = []
  private notAfter = Number.POSITIVE_INFINITY

  constructor(kind: ActorKind<State, Command, Reply, Event>, actor: string, base: Live<State>) {
    this.kind = kind
    this.actor = actor
    this.base = base
    this.state = base.state
    this.clock = base.clock
  }

  /** Decides one command. Throws what the decider throws, and then has not changed anything. */
  decide(command: Command, now: number, id: CommandId, hash: string, notAfter: number): Reply {
    const at = Math.max(now, this.clock)
    const facts: Array<Fact<State, Event>> = []
    const { decider } = this.kind
    const decision = decider.decide(this.state, command, at)
    let state = this.state
    for (const event of decision.events) {
      const after = decider.evolve(state, event)
      facts.push({ id: this.actor, before: state, after, event, now: at })
      state = after
    }
    this.state = state
    this.clock = at
    for (const fact of facts) this.facts.push(fact)
    if (decision.final) this.outcomes.push({ command: id, hash, reply: plain(decision.reply) })
    if (notAfter < this.notAfter) this.notAfter = notAfter
    return decision.reply
  }

  /** The unit, and what is live once it is committed. Throws what the kind's mapping to rows throws. */
  build(writer: string): { readonly unit: Unit; readonly live: Live<State> } {
    const { base, kind } = this
    const notAfter = Number.isFinite(this.notAfter) ? this.notAfter : null
    if (this.facts.length === 0 && this.outcomes.length === 0) {
      return { unit: { actor: this.actor, base: base.fence, writer, change: null, notAfter: null }, live: base }
    }
    const rows = new RowWriter()
    const outbox: Array<UnitChange["outbox"][number]> = []
    for (const fact of this.facts) {
      kind.write(rows, fact)
      for (const happening of kind.publish(fact)) outbox.push({ at: fact.now, happening })
    }
    const { cell, epoch } = base.fence
    const change: UnitChange = {
      main: kind.mainRow(this.state),
      clock: this.clock,
      dueAt: kind.decider.dueAt(this.state),
      cell,
      epoch,
      outcomes: this.outcomes,
      rows: rows.all(),
      outbox
    }
    return {
      unit: { actor: this.actor, base: base.fence, writer, change, notAfter },
      live: {
        state: this.state,
        fence: { version: base.fence.version + 1, writer, cell, epoch },
        clock: this.clock
      }
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
