/**
 * A cell hosts many actors of one kind: it takes what has gathered, loads the states that it lacks in one query, decides in
 * order of arrival, commits everything in one round trip, replies. While it commits, the next commands gather. One commit
 * is in flight per cell (R4); nothing leaves before the journal has confirmed what it rests on (R1).
 */
import { type CommandId, commandTime } from "@hikyaku/domain/Identifier"
import { Duration, Effect, ParseResult } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import { type Entry, Intake, type IntakeLimits, limitsDefault } from "./Intake.ts"
import type { KindJournal, Outcome, Verdict } from "./Journal.ts"
import { type Live, UnitBuilder } from "./UnitBuilder.ts"
import { fingerprint, type WireCommand, type WireReply } from "./Wire.ts"

export interface CellOptions<State, Command, Reply, Event> {
  readonly kind: ActorKind<State, Command, Reply, Event>
  readonly name: string
  /** New for every start of a cell: part of the fence (R5). */
  readonly incarnation: string
  readonly journal: KindJournal<State>
  /** Grows when everything loaded must be dropped (R5). */
  readonly generation: () => number
  readonly clock: { readonly now: () => number; readonly real: () => number; readonly logical: () => boolean }
  readonly monotonic: () => number
  readonly limits?: Partial<CellLimits> | undefined
}

export interface CellLimits extends IntakeLimits {
  /** Actors beyond this many are dropped from memory, longest unused first. */
  readonly liveMax: number
  /** Rounds refused by the fence after which a command is answered `Fault`. */
  readonly attemptsMax: number
  /** Outcomes are kept so long, ms; a command whose id is older is never executed (R3). */
  readonly retention: number
  /** How far ahead of database time a command id may be, ms. */
  readonly aheadMax: number
  /** A command id older than this, ms, is looked up before it is decided: it may be a repeat. */
  readonly repeatAge: number
  /** Outcomes of recent commands kept in memory. */
  readonly rememberedMax: number
}

export const cellLimitsDefault: CellLimits = {
  ...limitsDefault,
  liveMax: 50_000,
  attemptsMax: 8,
  retention: 24 * 3_600_000,
  aheadMax: 300_000,
  repeatAge: 2000,
  rememberedMax: 4096
}

/** How long a cell waits before it tries a store again that did not answer; doubles up to the maximum. */
const backOffMin = 20
const backOffMax = 1000

const recordKey = (actor: string, id: CommandId): string => id + actor

export class Cell<State, Command, Reply, Event> {
  readonly intake: Intake
  readonly name: string
  private readonly options: CellOptions<State, Command, Reply, Event>
  private readonly limits: CellLimits
  private readonly live = new Map<string, Live<State>>()
  private readonly remembered = new Map<string, Outcome>()
  private readonly isCommand: (value: unknown) => value is Command
  private generation: number
  private bell: (() => void) | null = null
  /** Rounds of one command that are still to come, since a round died and its culprit is not known. */
  private singly = 0
  private backOff = 0
  private stopped = false

  constructor(options: CellOptions<State, Command, Reply, Event>) {
    this.options = options
    this.name = options.name
    this.limits = { ...cellLimitsDefault, ...options.limits }
    this.intake = new Intake(this.limits)
    this.isCommand = ParseResult.is(options.kind.command)
    this.generation = options.generation()
  }

  /** Takes commands in; `reply` is called once per command, in any order. */
  offer(
    commands: ReadonlyArray<WireCommand>,
    bytesEach: number,
    reply: (index: number, reply: WireReply) => void
  ): void {
    const now = this.options.monotonic()
    for (let i = 0; i < commands.length; i++) {
      if (this.stopped) reply(i, { _tag: "Moved", cell: null })
      else this.intake.offer(commands[i]!, bytesEach, now, (answer) => reply(i, answer))
    }
    const bell = this.bell
    this.bell = null
    bell?.()
  }

  get liveCount(): number {
    return this.live.size
  }

  /** Serves until interrupted. A round that dies restarts the cell and harms only the command that kills it again (R10). */
  readonly serve: Effect.Effect<never> = Effect.suspend(() => Effect.forever(this.step))

  private get step(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.intake.waiting === 0) return this.awaitMail
      if (this.backOff > 0) {
        const wait = this.backOff
        this.backOff = 0
        return Effect.sleep(Duration.millis(wait))
      }
      const entries = this.intake.take(this.singly > 0 ? 1 : this.limits.roundMax)
      if (this.singly > 0) this.singly--
      return this.round(entries).pipe(
        Effect.catchAllCause((cause) => Effect.sync(() => this.died(entries, String(cause)))),
        // What is decided is seen through: the commit under way ends before the cell does.
        Effect.uninterruptible
      )
    })
  }

  private readonly awaitMail = Effect.async<void>((resume) => {
    if (this.intake.waiting > 0) resume(Effect.void)
    else this.bell = () => resume(Effect.void)
    return Effect.sync(() => {
      this.bell = null
    })
  })

  /** Ends the intake; whoever still waits is sent on (R9). Call it once `serve` has ended. */
  readonly stop: Effect.Effect<void> = Effect.sync(() => {
    this.stopped = true
    this.intake.drain({ _tag: "Moved", cell: null })
  })

  private forget(): void {
    this.live.clear()
    this.remembered.clear()
  }

  private died(entries: ReadonlyArray<Entry>, reason: string): void {
    this.forget()
    const open: Array<Entry> = []
    for (const entry of entries) {
      if (!this.intake.isOpen(entry)) continue
      entry.deaths++
      entry.attempts++
      // Two deaths in company prove nothing; alone in a round that died, it is the culprit.
      if (entry.deaths >= 2 && entries.length === 1) this.intake.reply(entry, { _tag: "Fault", reason })
      else open.push(entry)
    }
    this.singly = Math.max(this.singly, open.length)
    this.intake.putBack(open)
  }

  /** Drops what nobody waits for any more and what is too old or too new to be told from a repeat. */
  private admit(entries: ReadonlyArray<Entry>): Array<Entry> {
    const monotonic = this.options.monotonic()
    const real = this.options.clock.real()
    return entries.filter((entry) => {
      if (entry.expiresAt <= monotonic) {
        this.intake.reply(entry, { _tag: "Late" })
        return false
      }
      const time = commandTime(entry.id)
      if (time < real - this.limits.retention || time > real + this.limits.aheadMax || Number.isNaN(time)) {
        const reason = `the id's time is outside [now - ${this.limits.retention} ms, now + ${this.limits.aheadMax} ms]`
        this.intake.reply(entry, { _tag: "Expired", reason })
        return false
      }
      return true
    })
  }

  private round(entries: ReadonlyArray<Entry>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      if (this.generation !== this.options.generation()) {
        this.generation = this.options.generation()
        this.forget()
      }
      const open = this.admit(entries)
      if (open.length === 0) return
      const known = yield* this.recall(open)
      const { builders, decided } = this.decide(open, known)
      const units: Array<ReturnType<UnitBuilder<State, Command, Reply, Event>["build"]>> = []
      const built: Array<UnitBuilder<State, Command, Reply, Event>> = []
      for (const builder of builders.values()) {
        try {
          units.push(builder.build(this.options.incarnation))
          built.push(builder)
        } catch (cause) {
          this.refused(decided.get(builder.actor) ?? [], String(cause))
        }
      }
      const verdicts = yield* this.options.journal.commit(units.map((each) => each.unit)).pipe(
        Effect.catchTag("CommitUnknown", () => {
          // Whether it happened is for the command ids to say, once the states have been loaded again (R4).
          for (const builder of built) this.live.delete(builder.actor)
          this.again(built.flatMap((builder) => (decided.get(builder.actor) ?? []).map(({ entry }) => entry)))
          return Effect.succeed(null)
        })
      )
      if (verdicts === null) return
      this.backOffNext = backOffMin
      for (let i = 0; i < built.length; i++) {
        this.conclude(built[i]!, units[i]!.live, verdicts[i]!, decided.get(built[i]!.actor) ?? [])
      }
      for (const [actor] of this.live) {
        if (this.live.size <= this.limits.liveMax) break
        this.live.delete(actor)
      }
    }).pipe(
      Effect.catchTag("JournalUnavailable", () => Effect.sync(() => this.again(entries)))
    )
  }

  private backOffNext = backOffMin

  /** The store did not answer: try again after a while, as long as somebody waits. */
  private again(entries: ReadonlyArray<Entry>): void {
    const open = entries.filter((entry) => this.intake.isOpen(entry))
    for (const entry of open) entry.attempts++
    this.backOff = this.backOffNext
    this.backOffNext = Math.min(backOffMax, this.backOffNext * 2)
    this.intake.putBack(open)
  }

  /** Loads the states that are not live and the outcomes of commands that may be repeats. */
  private recall(entries: ReadonlyArray<Entry>) {
    return Effect.gen(this, function*() {
      const { journal, clock } = this.options
      const missing = new Set<string>()
      const pairs: Array<{ readonly actor: string; readonly command: CommandId }> = []
      const old = clock.real() - this.limits.repeatAge
      for (const entry of entries) {
        if (!this.live.has(entry.actor)) missing.add(entry.actor)
        // A young id is taken for new: should it not be, its key in the commit says so and it comes back here (R3).
        if (entry.attempts > 0 || commandTime(entry.id) < old) {
          if (!this.remembered.has(recordKey(entry.actor, entry.id))) {
            pairs.push({ actor: entry.actor, command: entry.id })
          }
        }
      }
      if (missing.size === 0 && pairs.length === 0) return new Map<string, Outcome>()
      const [loaded, outcomes] = yield* Effect.all(
        [missing.size === 0 ? Effect.succeed([]) : journal.load([...missing]), journal.outcomes(pairs)],
        { concurrency: 2 }
      )
      for (const each of loaded) this.live.set(each.actor, each)
      return new Map(outcomes.map((each) => [recordKey(each.actor, each.command), each]))
    })
  }

  private decide(entries: ReadonlyArray<Entry>, known: ReadonlyMap<string, Outcome>) {
    const { clock, kind, monotonic } = this.options
    const builders = new Map<string, UnitBuilder<State, Command, Reply, Event>>()
    const decided = new Map<string, Array<{ readonly entry: Entry; readonly reply: WireReply }>>()
    const now = clock.now()
    const logical = clock.logical()
    const realAhead = clock.real() - monotonic()
    for (const entry of entries) {
      const { actor } = entry
      let builder = builders.get(actor)
      if (builder === undefined) {
        const live = this.live.get(actor) ?? {
          state: kind.decider.initial(actor),
          fence: { version: 0, writer: "", cell: this.name, epoch: 0 },
          clock: 0
        }
        if (live.fence.cell !== this.name) {
          this.live.delete(actor)
          this.intake.reply(entry, { _tag: "Moved", cell: live.fence.cell })
          continue
        }
        builder = new UnitBuilder(kind, actor, live)
        builders.set(actor, builder)
        decided.set(actor, [])
      }
      const replies = decided.get(actor)!
      const { command } = entry
      if (!this.isCommand(command)) {
        this.intake.reply(entry, { _tag: "Fault", reason: `not a command of ${kind.name}` })
        continue
      }
      const hash = entry.hash ??= fingerprint(command)
      const earlier = this.remembered.get(recordKey(actor, entry.id)) ?? known.get(recordKey(actor, entry.id))
      if (earlier !== undefined) {
        const reply: WireReply = earlier.hash === hash ? { _tag: "Reply", reply: earlier.reply } : { _tag: "Differs" }
        replies.push({ entry, reply })
        continue
      }
      try {
        const instant = logical && entry.at !== null ? Math.max(now, entry.at) : now
        const reply = builder.decide(command, instant, entry.id, hash, realAhead + entry.expiresAt)
        replies.push({ entry, reply: { _tag: "Reply", reply } })
      } catch (cause) {
        // A command that breaks the decider hurts only itself (G19).
        this.intake.reply(entry, { _tag: "Fault", reason: String(cause) })
      }
    }
    return { builders, decided }
  }

  /** The unit cannot be stored: find the command to blame by deciding each of its commands in a unit of its own. */
  private refused(decided: ReadonlyArray<{ readonly entry: Entry }>, reason: string): void {
    if (decided.length <= 1) {
      for (const { entry } of decided) this.intake.reply(entry, { _tag: "Fault", reason })
      return
    }
    for (const { entry } of decided) entry.alone = true
    this.intake.putBack(decided.map(({ entry }) => entry))
  }

  private conclude(
    builder: UnitBuilder<State, Command, Reply, Event>,
    live: Live<State>,
    verdict: Verdict,
    decided: ReadonlyArray<{ readonly entry: Entry; readonly reply: WireReply }>
  ): void {
    const { actor } = builder
    switch (verdict._tag) {
      case "Committed": {
        // Set anew so that the map stays in the order of use.
        this.live.delete(actor)
        if (live.fence.version > 0) this.live.set(actor, live)
        for (const outcome of builder.recorded) this.remembered.set(recordKey(actor, outcome.command), outcome)
        for (const [key] of this.remembered) {
          if (this.remembered.size <= this.limits.rememberedMax) break
          this.remembered.delete(key)
        }
        for (const { entry, reply } of decided) this.intake.reply(entry, reply)
        return
      }
      case "Fault": {
        this.live.delete(actor)
        this.refused(decided, verdict.reason)
        return
      }
      case "Stale":
      case "Known":
      case "Late": {
        this.live.delete(actor)
        const open: Array<Entry> = []
        for (const { entry } of decided) {
          entry.attempts++
          if (entry.attempts <= this.limits.attemptsMax) open.push(entry)
          else if (verdict._tag === "Late") this.intake.reply(entry, { _tag: "Late" })
          else this.intake.reply(entry, { _tag: "Fault", reason: `no verdict after ${entry.attempts} attempts` })
        }
        this.intake.putBack(open)
        return
      }
    }
  }
}
