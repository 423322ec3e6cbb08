/** What a simulation does with one kind of actor, and what must be true of it. */
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import type { MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import type { Operation, Verdict } from "../linearizability/Linearizability.ts"

export interface Workload<State, Command, Reply, Event> {
  readonly name: string
  readonly kind: ActorKind<State, Command, Reply, Event>
  readonly actors: ReadonlyArray<string>
  /** Commands that are executed, in order, before anything goes wrong. */
  readonly opening: (actor: string) => ReadonlyArray<Command>
  /** What somebody wants next of an actor; `id` is the id that the command will have. */
  readonly next: (random: SeededRandom, actor: string, id: CommandId) => Command
  /** What somebody does who never heard what came of a command, or null. */
  readonly afterSilence: (random: SeededRandom, command: Command) => Command | null
  /** Another content for the same id. */
  readonly tampered: (command: Command) => Command
  /** Whether the answer is an outcome that every repeat must get. */
  readonly isFinal: (command: Command, reply: Reply) => boolean
  /** Whether the command may be answered with a fault. */
  readonly mayFault: (command: Command) => boolean
  /** An answer that was heard. */
  readonly heard: (actor: string, command: Command, reply: Reply) => void
  /** What is wrong with the store at any moment. */
  readonly watch: (store: MemoryStore) => ReadonlyArray<string>
  /** What is wrong when all is over and everything has come to rest. */
  readonly audit: (store: MemoryStore) => ReadonlyArray<string>
  /** Whether time matters: then timers fire, and the end comes only after `restMs`. */
  readonly restMs: number
  /** Whether one order explains what was answered, or null where the model does not reach. */
  readonly judge: (actor: string, history: ReadonlyArray<Operation<Command, Reply>>) => Verdict<Command, Reply> | null
}
