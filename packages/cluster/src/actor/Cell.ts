/**
 * A cell hosts many actors of one kind: it takes what has gathered, loads the states that it lacks in one query, decides in
 * order of arrival, commits everything in one round trip, replies. While it commits, the next commands gather. One commit
 * is in flight per cell (R4); nothing leaves before the journal has confirmed what it rests on (R1).
 */
import { type CommandId, commandTime } from "@hikyaku/domain/Identifier"
import { Cause, Duration, Effect, ParseResult } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import { admission } from "./Admission.ts"
import { type CellLimits, cellLimitsDefault } from "./CellLimits.ts"
import type { CellTrace, Traced } from "./CellTrace.ts"
import { HeatGauge } from "./Heat.ts"
import { type Entry, Intake } from "./Intake.ts"
import type { KindJournal, Outcome, Verdict } from "./Journal.ts"
import { isTakeOver } from "./Relocation.ts"
import { buildPart, type Decided, decideRound, type Part, recordKey } from "./Round.ts"
import type { Live } from "./UnitBuilder.ts"
import type { WireCommand, WireReply } from "./Wire.ts"

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
  /** The shared cell of an actor of which nothing is stored; this very cell when left out. */
  readonly home?: ((actor: string) => string) | undefined
  /** Whether it counts what its actors are sent, for whoever looks for hot ones. */
  readonly gauge?: boolean | undefined
  /** Hears of rounds with sampled commands. */
  readonly trace?: CellTrace | undefined
}

/** How long a cell waits before it tries a store again that did not answer; doubles up to the maximum. */
const backOffMin = 20
const backOffMax = 1000
/** How long a cell that stops waits for the round under way; then its commands are sent on, their ids tell what happened. */
const stopGrace = Duration.seconds(3)
export class Cell<State, Command, Reply, Event> {
  readonly intake: Intake
  readonly name: string
  /** What its actors were sent; null: nobody wants to know. */
  readonly heat: HeatGauge | null
  private readonly options: CellOptions<State, Command, Reply, Event>
  private readonly limits: CellLimits
  private readonly live = new Map<string, Live<State>>()
  private readonly remembered = new Map<string, Outcome>()
  private readonly isCommand: (value: unknown) => value is Command
  private generation: number
  private bell: (() => void) | null = null
  /** Most commands in a round while the culprit of a round that died is looked for; 0: it is not. */
  private suspects = 0
  private backOff = 0
  private backOffNext = backOffMin
  private stopped = false
  private busy = false
  private onIdle: (() => void) | null = null

  constructor(options: CellOptions<State, Command, Reply, Event>) {
    this.options = options
    this.name = options.name
    this.limits = { ...cellLimitsDefault, ...options.limits }
    this.intake = new Intake(this.limits)
    this.isCommand = ParseResult.is(options.kind.command)
    this.generation = options.generation()
    this.heat = options.gauge === true ? new HeatGauge() : null
  }

  /** Takes commands in; `reply` is called once per command, in any order, and says `false` if nobody is there to hear it. */
  offer(
    commands: ReadonlyArray<WireCommand>,
    bytesEach: number,
    reply: (index: number, reply: WireReply) => unknown
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

  /** Serves until interrupted, whatever happens to a round (R10). */
  readonly serve: Effect.Effect<never> = Effect.suspend(() => Effect.forever(this.step))

  private readonly step: Effect.Effect<void> = Effect.suspend(() => {
    if (this.stopped) return Effect.never
    if (this.intake.waiting === 0) return this.awaitMail
    if (this.backOff > 0) {
      const wait = this.backOff
      this.backOff = 0
      return Effect.sleep(Duration.millis(wait))
    }
    const entries = this.take()
    this.busy = true
    // Interruption reaches whatever has not committed (R25); who waited asks again with the same id.
    return this.round(entries).pipe(
      Effect.catchAllCause((cause) =>
        Effect.logWarning(`A round of ${this.options.kind.name}/${this.name} died`, cause).pipe(
          Effect.andThen(Effect.sync(() => this.died(entries, String(Cause.squash(cause)))))
        )
      ),
      Effect.onInterrupt(() => Effect.sync(() => this.unknown(entries))),
      Effect.ensuring(this.rest)
    )
  }).pipe(
    Effect.catchAllCause((cause) =>
      Effect.logError(`Cell ${this.options.kind.name}/${this.name} starts again`, cause).pipe(
        Effect.andThen(Effect.sync(() => this.startAgain()))
      )
    )
  )

  private readonly rest = Effect.sync(() => {
    this.busy = false
    this.onIdle?.()
  })

  private readonly awaitMail = Effect.async<void>((resume) => {
    if (this.intake.waiting > 0 || this.stopped) resume(Effect.void)
    else this.bell = () => resume(Effect.void)
    return Effect.sync(() => {
      this.bell = null
    })
  })

  /**
   * Ends the intake: what is queued is sent on at once, the round under way is seen through, within bounds (R9). After it
   * `serve` has nothing more to do and may be interrupted.
   */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.stopped = true
    this.intake.drainQueue({ _tag: "Moved", cell: null })
    return this.busy
      ? Effect.async<void>((resume) => {
        this.onIdle = () => resume(Effect.void)
      }).pipe(Effect.interruptible, Effect.timeoutOption(stopGrace))
      : Effect.void
  }).pipe(Effect.andThen(Effect.sync(() => this.intake.drain({ _tag: "Moved", cell: null }))))

  private take(): ReadonlyArray<Entry> {
    if (this.suspects > 0) {
      const suspects = this.intake.takeSuspects(this.suspects)
      if (suspects.length > 0) return suspects
      this.suspects = 0
    }
    return this.intake.take(this.limits.roundMax)
  }

  /**
   * A round died. Its commands come again in rounds of half the size, until the one that kills is alone; if it kills again
   * there, it is set aside (R10). The states that it touched are loaded again.
   */
  private died(entries: ReadonlyArray<Entry>, reason: string): void {
    const open: Array<Entry> = []
    this.suspects = Math.max(1, entries.length >> 1)
    for (const entry of entries) {
      this.live.delete(entry.actor)
      if (!this.intake.isOpen(entry)) continue
      entry.deaths++
      entry.attempts++
      if (entry.deaths < 2 || entries.length > 1) open.push(entry)
      else {
        this.intake.reply(entry, { _tag: "Fault", reason })
        // Those that died with it are likely innocent: together again.
        this.suspects = this.limits.roundMax
      }
    }
    this.intake.putBack(open)
  }

  private startAgain(): void {
    this.forget()
    this.suspects = 0
    this.busy = false
    this.intake.requeue()
    this.backOff = backOffMax
  }

  private forget(): void {
    this.live.clear()
    this.remembered.clear()
    this.intake.forget()
  }

  /** Whether the store has had another history since this round began (R5); then nothing that is in memory counts. */
  private otherHistory(): boolean {
    if (this.generation === this.options.generation()) return false
    this.generation = this.options.generation()
    this.forget()
    return true
  }

  /** Drops what nobody waits for any more, what is too old or too new to be told from a repeat, what is no address. */
  private admit(entries: ReadonlyArray<Entry>): Array<Entry> {
    const admit = admission(this.limits, this.options.clock, this.options.monotonic())
    return entries.filter((entry) => {
      const refusal = admit(entry)
      if (refusal !== null) this.intake.reply(entry, refusal)
      return refusal === null
    })
  }

  private round(entries: ReadonlyArray<Entry>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.otherHistory()
      const taken = this.options.monotonic()
      const open = this.admit(entries)
      if (open.length === 0) return
      const known = yield* this.recall(open)
      if (this.otherHistory()) {
        this.again(open)
        return
      }
      const parts = this.decide(open, known)
      const built = parts.map((part) => buildPart(part, this.options.incarnation))
      const decided = this.options.monotonic()
      const verdicts = yield* this.options.journal.commit(built.map((each) => each.unit)).pipe(
        Effect.catchTag("CommitUnknown", () => {
          this.unknown(entries)
          this.slowDown()
          return Effect.succeed(null)
        })
      )
      if (verdicts === null) return
      this.backOffNext = backOffMin
      this.trace(open, taken, decided)
      for (let i = 0; i < parts.length; i++) this.conclude(parts[i]!, built[i]!.live, verdicts[i]!)
      for (const [actor] of this.live) {
        if (this.live.size <= this.limits.liveMax) break
        this.live.delete(actor)
      }
    }).pipe(
      Effect.catchTag("JournalUnavailable", () =>
        Effect.sync(() => {
          this.again(entries)
          this.slowDown()
        }))
    )
  }

  private trace(entries: ReadonlyArray<Entry>, taken: number, decided: number): void {
    if (this.options.trace === undefined) return
    const sampled: Array<Traced> = []
    for (const { trace } of entries) if (trace !== null) sampled.push(trace)
    if (sampled.length === 0) return
    this.options.trace(sampled, { taken, decided, committed: this.options.monotonic() }, entries.length)
  }

  /** Without a verdict: try again, as long as somebody waits. */
  private again(entries: ReadonlyArray<Entry>): void {
    const open = entries.filter((entry) => this.intake.isOpen(entry))
    for (const entry of open) entry.attempts++
    this.intake.putBack(open)
  }

  /** Whether it happened is for the command ids to say, once the states have been loaded again (R4). */
  private unknown(entries: ReadonlyArray<Entry>): void {
    for (const { actor } of entries) this.live.delete(actor)
    this.again(entries)
  }

  /** The store did not answer: give it time. */
  private slowDown(): void {
    this.backOff = this.backOffNext
    this.backOffNext = Math.min(backOffMax, this.backOffNext * 2)
  }

  /** Loads the states that are not live and the outcomes of commands that may be repeats. */
  private recall(entries: ReadonlyArray<Entry>) {
    return Effect.gen(this, function*() {
      const { journal, clock } = this.options
      const missing = new Set<string>()
      const pairs: Array<{ readonly actor: string; readonly command: CommandId }> = []
      // A replay's ids say nothing of their age: they too are taken for new.
      const old = clock.logical() ? Number.NEGATIVE_INFINITY : clock.real() - this.limits.repeatAge
      for (const entry of entries) {
        if (!this.live.has(entry.actor)) missing.add(entry.actor)
        // A young id is taken for new: should it not be, the commit says so and it comes back here (R3).
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

  private decide(
    entries: ReadonlyArray<Entry>,
    known: ReadonlyMap<string, Outcome>
  ): ReadonlyArray<Part<State, Command, Reply, Event>> {
    const { clock, kind, monotonic } = this.options
    const { elsewhere, parts } = decideRound({
      kind,
      name: this.name,
      home: this.options.home ?? (() => this.name),
      isCommand: this.isCommand,
      clock,
      monotonic,
      live: (actor) => this.live.get(actor),
      recorded: (actor, id) => {
        const key = recordKey(actor, id)
        return this.remembered.get(key) ?? known.get(key)
      }
    }, entries)
    if (this.heat !== null) { for (const { builder, decided } of parts) this.heat.count(builder.actor, decided.length) }
    for (const { cell, entry } of elsewhere) {
      this.live.delete(entry.actor)
      this.sentOn(entry, cell)
    }
    return parts
  }

  /**
   * The actor lives elsewhere, and so all that waits for it here goes there with this command: should it come back before
   * the next round, what was sent with this command would overtake it (G4).
   */
  private sentOn(entry: Entry, cell: string | null): void {
    const reply: WireReply = { _tag: "Moved", cell }
    this.intake.reply(entry, reply)
    this.intake.sendOn(entry.actor, reply, isTakeOver)
  }

  /** The unit cannot be stored: find the command to blame by deciding each of its commands in a unit of its own. */
  private refused(decided: ReadonlyArray<Decided>, reason: string): void {
    if (decided.length <= 1) {
      for (const { entry } of decided) this.intake.reply(entry, { _tag: "Fault", reason }, false)
      return
    }
    for (const { entry } of decided) entry.alone = true
    this.again(decided.map(({ entry }) => entry))
  }

  private conclude(
    { builder, decided, fault }: Part<State, Command, Reply, Event>,
    live: Live<State>,
    verdict: Verdict
  ): void {
    const { actor } = builder
    switch (verdict._tag) {
      case "Committed": {
        // Set anew so that the map stays in the order of use.
        this.live.delete(actor)
        // What has moved is its new cell's; of what is not stored there is nothing to keep.
        if (live.fence.version > 0 && live.fence.cell === this.name) this.live.set(actor, live)
        if (fault !== undefined) {
          this.refused(decided, fault)
          return
        }
        for (const outcome of builder.recorded) this.remembered.set(recordKey(actor, outcome.command), outcome)
        for (const [key] of this.remembered) {
          if (this.remembered.size <= this.limits.rememberedMax) break
          this.remembered.delete(key)
        }
        for (const { entry, lasting, reply } of decided) {
          if (reply._tag === "Moved") this.sentOn(entry, reply.cell)
          else this.intake.reply(entry, reply, lasting)
        }
        return
      }
      case "Fault": {
        this.live.delete(actor)
        this.refused(decided, verdict.reason)
        return
      }
      case "Late": {
        this.live.delete(actor)
        // Only those whose time is over; what was decided with them has time left and is decided again.
        const until = Math.min(...decided.map((each) => each.until))
        for (const each of decided) {
          if (each.until <= until) this.intake.reply(each.entry, { _tag: "Late" }, false)
        }
        this.again(decided.map(({ entry }) => entry))
        return
      }
      case "Stale":
      case "Known": {
        this.live.delete(actor)
        for (const { entry } of decided) {
          entry.refusals++
          if (entry.refusals <= this.limits.attemptsMax) continue
          // Somebody else writes this actor all the time: whoever asks directly finds them.
          if (verdict._tag === "Stale") this.intake.reply(entry, { _tag: "Moved", cell: null })
          else this.intake.reply(entry, { _tag: "Fault", reason: `no verdict after ${entry.refusals} attempts` }, false)
        }
        this.again(decided.map(({ entry }) => entry))
        return
      }
    }
  }
}
