/** What clients of a simulation asked and heard: written down as it happens, judged when all is over. */
import type { WireReply } from "@hikyaku/cluster/actor/Wire"
import type { CommandId } from "@hikyaku/domain/Identifier"

/** One time that a command was sent. */
export interface Attempt {
  readonly client: string
  readonly from: number
  /** null: given up, or still under way at the end. */
  reply: WireReply | null
}

/** One command, however often it was sent. `call` and `at` are ticks: every event of a run has its own. */
export interface Recorded<Command, Reply> {
  readonly actor: string
  readonly id: CommandId
  readonly command: Command
  readonly call: number
  readonly attempts: Array<Attempt>
  /** The first answer that was heard. */
  answer: { readonly at: number; readonly reply: Reply } | null
  /** It was answered that it cannot be executed. */
  fault: boolean
}

export class History<Command, Reply> {
  readonly records: Array<Recorded<Command, Reply>> = []
  readonly problems: Array<string> = []
  private ticks = 0

  tick(): number {
    return ++this.ticks
  }

  begin(actor: string, id: CommandId, command: Command): Recorded<Command, Reply> {
    const record: Recorded<Command, Reply> = {
      actor,
      id,
      command,
      call: this.tick(),
      attempts: [],
      answer: null,
      fault: false
    }
    this.records.push(record)
    return record
  }

  problem(text: string): void {
    // One wrong step has many consequences; the first ones tell.
    if (this.problems.length < 20) this.problems.push(text)
  }

  of(actor: string): ReadonlyArray<Recorded<Command, Reply>> {
    return this.records.filter((record) => record.actor === actor)
  }
}
