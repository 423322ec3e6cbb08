/**
 * The clients of a simulation: they ask, give up, ask again here or through another client, repeat what they know and what
 * they do not, and write down everything they hear.
 */
import type { ClientQueue, Item } from "@hikyaku/cluster/actor/ClientQueue"
import type { WireReply } from "@hikyaku/cluster/actor/Wire"
import { type CommandId, commandIdFrom } from "@hikyaku/domain/Identifier"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { Duration, Effect, Option } from "effect"
import type { Attempt, History, Recorded } from "./History.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { Workload } from "./Workload.ts"

export interface Client {
  readonly name: string
  readonly queue: ClientQueue
}

export interface ShoppersOptions<State, Command, Reply, Event> {
  readonly workload: Workload<State, Command, Reply, Event>
  readonly clients: ReadonlyArray<Client>
  readonly history: History<Command, Reply>
  readonly time: VirtualTime
  readonly start: number
  readonly random: SeededRandom
  readonly note: (line: string) => void
}

/** Times that one command is sent before its owner leaves it. */
const attemptsMax = 6

/** Enough of an id to tell it from the others of a run. */
const name = (id: CommandId): string => id.slice(-12, -4)
const text = (value: unknown): string => JSON.stringify(value)

export class Shoppers<State, Command, Reply, Event> {
  private readonly options: ShoppersOptions<State, Command, Reply, Event>

  constructor(options: ShoppersOptions<State, Command, Reply, Event>) {
    this.options = options
  }

  private pick<A>(choices: ReadonlyArray<A>): A {
    return choices[this.options.random.between(0, choices.length - 1)]!
  }

  private rest(most: number): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(Duration.millis(most * this.options.random.next())))
  }

  freshId(): CommandId {
    const { random, start, time } = this.options
    return commandIdFrom(start + time.now, random.next(), random.next(), random.next())
  }

  /** Sends once and waits; null when the asker went away first. */
  private ask(
    record: Recorded<Command, Reply>,
    client: Client,
    { command = record.command, patience = Number.POSITIVE_INFINITY, within }: {
      readonly command?: Command
      /** ms after which the asker goes away. */
      readonly patience?: number
      readonly within: number
    }
  ): Effect.Effect<WireReply | null> {
    const { history, note, time } = this.options
    return Effect.suspend(() => {
      const asking = Effect.async<WireReply>((resume) => {
        const attempt: Attempt = { client: client.name, from: history.tick(), reply: null }
        if (command === record.command) record.attempts.push(attempt)
        note(`${client.name} asks ${record.actor} ${name(record.id)} ${text(command)}`)
        const item: Item = {
          actor: record.actor,
          id: record.id,
          command,
          at: null,
          expiresAt: time.now + within,
          resume: (reply) => {
            attempt.reply = reply
            note(`${client.name} hears ${name(record.id)} ${text(reply)}`)
            resume(Effect.succeed(reply))
          },
          settled: false,
          sent: false,
          astray: false
        }
        client.queue.send(item)
        return Effect.sync(() => client.queue.abandon(item))
      })
      return Number.isFinite(patience)
        ? Effect.map(Effect.timeoutOption(asking, Duration.millis(patience)), Option.getOrNull)
        : asking
    })
  }

  /** Compares an answer with what is known of the command, and keeps the first. */
  private take(record: Recorded<Command, Reply>, reply: Reply): void {
    const { history, workload } = this.options
    const { answer, command, id } = record
    if (answer === null) {
      record.answer = { at: history.tick(), reply }
      workload.heard(record.actor, command, reply)
      return
    }
    if (!workload.isFinal(command, answer.reply) || text(answer.reply) === text(reply)) return
    history.problem(`G3: ${id} ${text(command)} was answered ${text(answer.reply)} and then ${text(reply)}`)
  }

  /** What a reply means; true when the command is settled. */
  private digest(record: Recorded<Command, Reply>, reply: WireReply | null): boolean {
    const { history, workload } = this.options
    switch (reply?._tag) {
      case "Reply":
        // The kind's own reply, which has come all the way over the wire.
        this.take(record, reply.reply as Reply)
        return true
      case "Fault":
        record.fault = true
        if (!workload.mayFault(record.command)) history.problem(`G19: ${text(record.command)} answered ${text(reply)}`)
        return true
      case "Expired":
      case "Differs":
      case "Moved":
      case "Pending":
        history.problem(`${record.id} ${text(record.command)} answered ${text(reply)}`)
        return true
      case "Late":
      case "Overloaded":
      case undefined:
        return false
    }
  }

  /** One command to its end, or until its owner has had enough. */
  private pursue(record: Recorded<Command, Reply>, home: Client): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const { clients, random } = this.options
      for (let attempt = 0; attempt < attemptsMax; attempt++) {
        const client = attempt > 0 && random.chance(0.3) ? this.pick(clients) : home
        const within = random.chance(0.3) ? 5 + 100 * random.next() : 200 + 3000 * random.next()
        const patience = random.chance(0.15) ? within * random.next() : Number.POSITIVE_INFINITY
        if (this.digest(record, yield* this.ask(record, client, { within, patience }))) break
        if (random.chance(0.15)) break
        yield* this.rest(random.chance(0.1) ? 3000 : 50)
      }
      const silent = record.answer === null && !record.fault
      const next = silent ? this.options.workload.afterSilence(random, record.command) : null
      if (next !== null) yield* this.order(record.actor, this.freshId(), next, home)
      if (!silent && random.chance(0.2)) yield* this.insist(record)
    })
  }

  /** Repeats what is settled: the same must come of it; with other content it must be refused. */
  private insist(record: Recorded<Command, Reply>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const { clients, history, random, workload } = this.options
      yield* this.rest(random.chance(0.3) ? 4000 : 100)
      const { answer, command, id } = record
      if (answer === null || !workload.isFinal(command, answer.reply)) return
      if (random.chance(0.7)) {
        this.digest(record, yield* this.ask(record, this.pick(clients), { within: 2000 }))
        return
      }
      const tampered = workload.tampered(command)
      const reply = yield* this.ask(record, this.pick(clients), { command: tampered, within: 2000 })
      const refused = reply === null || ["Differs", "Late", "Overloaded", "Fault"].includes(reply._tag)
      if (!refused) history.problem(`R3: ${id} with other content ${text(tampered)} was answered ${text(reply)}`)
    })
  }

  private order(actor: string, id: CommandId, command: Command, home: Client): Effect.Effect<void> {
    return Effect.suspend(() => this.pursue(this.options.history.begin(actor, id, command), home))
  }

  /** One shopper: one command after the other, at times several at once. */
  shop(home: Client, steps: number): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const { random, workload } = this.options
      for (let step = 0; step < steps; step++) {
        const actor = this.pick(workload.actors)
        const count = random.chance(0.2) ? random.between(2, 5) : 1
        yield* Effect.forEach(
          Array.from({ length: count }),
          () =>
            Effect.suspend(() => {
              const id = this.freshId()
              return this.order(actor, id, workload.next(random, actor, id), home)
            }),
          { concurrency: "unbounded", discard: true }
        )
        yield* this.rest(random.chance(0.1) ? 500 : 60)
      }
    })
  }

  /** Asks until it is answered; for times when nothing goes wrong. */
  surely(actor: string, command: Command, record: Recorded<Command, Reply>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const { clients, history } = this.options
      for (let attempt = 0; attempt < 20; attempt++) {
        if (this.digest(record, yield* this.ask(record, this.pick(clients), { within: 5000 }))) return
        yield* this.rest(100)
      }
      history.problem(`${actor} does not answer ${text(command)} although nothing goes wrong any more`)
    })
  }

  /** Finds out what came of some of what was left open. */
  readonly reconcile: Effect.Effect<void> = Effect.suspend(() => {
    const { history, random } = this.options
    const open = history.records.filter((record) => record.answer === null && !record.fault && random.chance(0.7))
    return Effect.forEach(open, (record) => this.surely(record.actor, record.command, record), {
      concurrency: "unbounded",
      discard: true
    })
  })
}
