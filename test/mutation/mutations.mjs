/**
 * What is broken on purpose, one thing at a time, to see that a test fails: every check that carries a promise. `from` must
 * occur exactly once in `file`; `tests` are the test files of which one must fail.
 */
const actor = (name) => `packages/cluster/src/actor/${name}.ts`
const cellTests = "packages/cluster/test/actor/Cell"
const unit = (name) => `packages/cluster/test/actor/${name}.test.ts`
const simulation = "test/simulation/Simulation.test.ts"

export const mutations = [
  {
    name: "R1: reads are answered without a version check",
    file: actor("JournalMemory"),
    from: `if (stored === undefined ? base.version !== 0 : !sameFence(stored.fence, base)) return { _tag: "Stale" }`,
    to: `if (unit.change !== null && (stored === undefined ? base.version !== 0 : !sameFence(stored.fence, base))) return { _tag: "Stale" }`,
    tests: [cellTests, simulation]
  },
  {
    name: "R2, G5: stale units are committed",
    file: actor("JournalMemory"),
    from: `if (stored === undefined ? base.version !== 0 : !sameFence(stored.fence, base)) return { _tag: "Stale" }`,
    to: ``,
    tests: [cellTests, simulation]
  },
  {
    name: "R3: the key of a command id is no backstop",
    file: actor("JournalMemory"),
    from: `if (commands.some((command) => outcomes.has(outcomeKey(unit.actor, command)))) return { _tag: "Known" }`,
    to: ``,
    tests: [cellTests, simulation]
  },
  {
    name: "R3: answers without an outcome do not ask for their id",
    file: actor("UnitBuilder"),
    from: `    else this.asked.push(id)\n`,
    to: ``,
    tests: [cellTests, unit("UnitBuilder")]
  },
  {
    name: "R3: old ids are not looked up",
    file: actor("Cell"),
    from: `if (entry.attempts > 0 || commandTime(entry.id) < old) {`,
    to: `if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R3: the content of a repeat is not compared",
    file: actor("Cell"),
    from: `earlier.hash === hash ?`,
    to: `true ?`,
    tests: [cellTests]
  },
  {
    name: "R3: the content of a repeat that joins is not compared",
    file: actor("Intake"),
    from: `if (fingerprint(command.command) !== hash) {`,
    to: `if (false) {`,
    tests: [unit("Intake"), cellTests]
  },
  {
    name: "R3: ids of any age are executed",
    file: actor("Cell"),
    from: `if (time < oldest || time > newest) {`,
    to: `if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R1: latecomers hear what was read before they came",
    file: actor("Intake"),
    from: `if (lasting) for`,
    to: `if (true) for`,
    tests: [unit("Intake"), cellTests]
  },
  {
    name: "R1: faults leave before the version check",
    file: actor("Cell"),
    from: `        builder.ask(id)
        const reply: WireReply = { _tag: "Fault", reason: String(cause) }
        decided.push({ entry, reply, lasting: false, until: Number.POSITIVE_INFINITY })`,
    to: `        this.intake.reply(entry, { _tag: "Fault", reason: String(cause) })`,
    tests: [cellTests]
  },
  {
    name: "R4: after an unknown commit the states stay",
    file: actor("Cell"),
    from: `    for (const { actor } of entries) this.live.delete(actor)
    this.again(entries)`,
    to: `    this.again(entries)`,
    // The fence catches it: one commit more, and no harm.
    tests: [],
    harmless: true
  },
  {
    name: "R4: what comes again is mixed with newer mail",
    file: actor("Intake"),
    from: `!queue[n]!.alone && queue[n]!.attempts > 0 === again`,
    to: `!queue[n]!.alone`,
    tests: [unit("Intake"), cellTests]
  },
  {
    name: "R4, R7: what comes back goes to the end",
    file: actor("FairQueue"),
    from: `    const rest = [...this.queues]
    this.queues.clear()
    for (const item of items) this.push(item)`,
    to: `    const rest = []
    for (const item of items) this.push(item)`,
    tests: [unit("FairQueue"), cellTests, simulation]
  },
  {
    name: "R5: the writer is no part of the fence",
    file: actor("JournalMemory"),
    from: `a.version === b.version && a.writer === b.writer && a.cell`,
    to: `a.version === b.version && a.cell`,
    tests: ["test/contracts/Journal.test.ts"]
  },
  {
    name: "R5: another history is not noticed",
    file: actor("Cell"),
    from: `    this.generation = this.options.generation()
    this.forget()
    return true`,
    to: `    return false`,
    tests: [cellTests]
  },
  {
    name: "R5: another history is noticed at the beginning of a round alone",
    file: actor("Cell"),
    from: `      if (this.otherHistory()) {`,
    to: `      if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R5: a commit counts in whatever history it lands",
    file: actor("JournalMemory"),
    from: `store.generation === history ?`,
    to: `true ?`,
    tests: [cellTests]
  },
  {
    name: "R6: time follows the cell's clock alone",
    file: actor("UnitBuilder"),
    from: `const at = Math.max(now, this.clock)`,
    to: `const at = now`,
    tests: [cellTests, unit("UnitBuilder")]
  },
  {
    name: "R6: a read does not keep the time",
    file: actor("UnitBuilder"),
    from: `live: { ...base, clock: this.clock }`,
    to: `live: base`,
    tests: [cellTests, unit("UnitBuilder")]
  },
  {
    name: "R6: units have no deadline",
    file: actor("UnitBuilder"),
    from: `notAfter: Number.isFinite(this.notAfter) ? this.notAfter : null`,
    to: `notAfter: null`,
    tests: [cellTests, unit("UnitBuilder")]
  },
  {
    name: "R6: who has time left is late with the others",
    file: actor("Cell"),
    from: `if (each.until <= until) this`,
    to: `if (true) this`,
    tests: [cellTests]
  },
  {
    name: "R6: the deadlines of reads bind",
    file: actor("UnitBuilder"),
    from: `if ((final || facts.length > 0) && notAfter < this.notAfter)`,
    to: `if (notAfter < this.notAfter)`,
    tests: [cellTests, unit("UnitBuilder")]
  },
  {
    name: "R7: what has moved leaves its followers behind",
    file: actor("ClientQueue"),
    from: `for (const item of from.queue.takeActor(actor)) {`,
    to: `for (const item of from.queue.takeActor(actor).slice(0, 1)) {`,
    tests: [unit("ClientQueue")]
  },
  {
    name: "R7: several batches of a cell are in flight",
    file: actor("ClientQueue"),
    from: `      queue.busy = true\n`,
    to: ``,
    tests: [unit("ClientQueue"), simulation]
  },
  {
    name: "R8: an actor that has moved is decided here",
    file: actor("Cell"),
    from: `if (home !== this.name) {`,
    to: `if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R9: a carrier waits for the slowest",
    file: actor("Carrier"),
    from: `else cancel = after(`,
    to: `else void (`,
    tests: [unit("Carrier")]
  },
  {
    name: "R9: a cell that stops takes more",
    file: actor("Cell"),
    from: `if (this.stopped) reply(i, { _tag: "Moved", cell: null })`,
    to: `if (false) reply(i, { _tag: "Moved", cell: null })`,
    tests: [cellTests]
  },
  {
    name: "R9: a cell that stops does not see its round through",
    file: actor("Cell"),
    from: `    return this.busy
      ? Effect`,
    to: `    return false
      ? Effect`,
    tests: [cellTests]
  },
  {
    name: "R9: a cell that stops waits for ever",
    file: actor("Cell"),
    from: `.pipe(Effect.interruptible, Effect.timeoutOption(stopGrace))`,
    to: `.pipe(Effect.interruptible)`,
    tests: [cellTests]
  },
  {
    name: "R10: commands in a round do not count",
    file: actor("Intake"),
    from: `return this.open.size < this.limits.commandsMax`,
    to: `return this.queue.size < this.limits.commandsMax`,
    tests: [unit("Intake")]
  },
  {
    name: "R10: bytes are not counted",
    file: actor("Intake"),
    from: `&& this.bytes + bytes <= this.limits.bytesMax`,
    to: ``,
    tests: [unit("Intake")]
  },
  {
    name: "R10: repeats that wait are not bounded",
    file: actor("Intake"),
    from: `if (waiters.length > waitersMax)`,
    to: `if (false)`,
    tests: [unit("Intake")]
  },
  {
    name: "R10: expired commands are decided",
    file: actor("Cell"),
    from: `if (entry.expiresAt <= monotonic) {`,
    to: `if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R10: a command that is none is decided",
    file: actor("Cell"),
    from: `if (!this.isCommand(command)) throw`,
    to: `if (false) throw`,
    tests: [cellTests]
  },
  {
    name: "R10, R2: any text is an actor's id",
    file: actor("Cell"),
    from: `if (!isCommandId(entry.id) || !isActorId(entry.actor)) {`,
    to: `if (false) {`,
    tests: [cellTests]
  },
  {
    name: "R10: whoever killed a round is decided with the others again",
    file: actor("Cell"),
    from: `this.suspects = Math.max(1, entries.length >> 1)`,
    to: `this.suspects = 0`,
    tests: [cellTests]
  },
  {
    name: "R10: a loop that fails is the end of the cell",
    file: actor("Cell"),
    from: `Effect.andThen(Effect.sync(() => this.startAgain()))`,
    to: `Effect.andThen(Effect.never)`,
    tests: [cellTests]
  },
  {
    name: "R10: bytes that cannot be read kill the carrier",
    file: actor("Carrier"),
    from: `  } catch {
    return null
  }`,
    to: `  } catch (cause) {
    throw cause
  }`,
    tests: [unit("Carrier")]
  },
  {
    name: "G19: a waiter that fails kills the round",
    file: actor("Intake"),
    from: `  } catch {
    // Whoever waits there asks again with the same id.
  }`,
    to: `  } catch (cause) {
    throw cause
  }`,
    tests: [cellTests]
  },
  {
    name: "G19: refused units are decided together again",
    file: actor("Cell"),
    from: `for (const { entry } of decided) entry.alone = true`,
    to: ``,
    tests: [cellTests]
  },
  {
    name: "G19: who must be alone is not",
    file: actor("Intake"),
    from: `if (first.alone) return 1`,
    to: ``,
    tests: [unit("Intake"), cellTests]
  },
  {
    name: "G19: whoever rushes in takes all room",
    file: actor("Intake"),
    from: `    if (this.fits(bytes)) return true
    const`,
    to: `    return this.fits(bytes)
    const`,
    tests: [unit("Intake"), cellTests]
  },
  {
    name: "G19: whoever rushes in takes all room at the client",
    file: actor("ClientQueue"),
    from: `(queue.open >= this.limits.cellMax && !this.makeRoom(queue, item))`,
    to: `queue.open >= this.limits.cellMax`,
    tests: [unit("ClientQueue")]
  },
  {
    name: "R23: a round is not shared",
    file: actor("FairQueue"),
    from: `queue.splice(0, Math.min(possible, share, max - round.length))`,
    to: `queue.splice(0, Math.min(possible, max - round.length))`,
    tests: [unit("FairQueue"), cellTests]
  },
  {
    name: "R23: whoever had a turn stays first",
    file: actor("FairQueue"),
    from: `        this.queues.delete(actor)
        if (queue.length > 0) {
          this.queues.set(actor, queue)`,
    to: `        if (queue.length === 0) this.queues.delete(actor)
        if (queue.length > 0) {`,
    tests: [unit("FairQueue")]
  },
  {
    name: "R25: a closed client leaves its callers waiting",
    file: actor("ClientQueue"),
    from: `for (const item of [...this.open.keys()]) this.settle(item, { _tag: "Late" })`,
    to: ``,
    tests: [unit("ClientQueue")]
  },
  {
    name: "R25: a round is not interrupted",
    file: actor("Cell"),
    from: `      Effect.ensuring(this.rest)\n`,
    to: `      Effect.ensuring(this.rest),\n      Effect.uninterruptible\n`,
    tests: [cellTests]
  },
  {
    name: "R10: what is abandoned piles up",
    file: actor("ClientQueue"),
    from: `if (home.queue.size > 2 * home.open + settledMax)`,
    to: `if (false)`,
    tests: [unit("ClientQueue")]
  },
  {
    name: "G14: an actor that somebody else writes is a fault",
    file: actor("Cell"),
    from: `if (verdict._tag === "Stale") this`,
    to: `if (false) this`,
    tests: [cellTests]
  },
  {
    name: "R15: actors that fail keep the others asleep",
    file: actor("Timers"),
    from: `found.filter(({ actor }) => !resting.has(actor))`,
    to: `found`,
    tests: [unit("Timers")]
  },
  {
    name: "G1: the product allocates one piece too many",
    file: "packages/domain/src/stock/ProductDecide.ts",
    from: `if (waiting === 0 && quantity <= available(draft.state)) {`,
    to: `if (waiting === 0 && quantity <= available(draft.state) + 1) {`,
    tests: [simulation]
  },
  {
    name: "G6: tickets given up before they came may come",
    file: "packages/domain/src/stock/ProductDecide.ts",
    from: `if (tombstone !== undefined) return draft.outcome({ _tag: tombstone.reason })`,
    to: ``,
    tests: [simulation]
  },
  {
    name: "G4: the waitlist is overtaken",
    file: "packages/domain/src/stock/ProductDecide.ts",
    from: `if (waiting === 0 && quantity <= available(draft.state)) {`,
    to: `if (quantity <= available(draft.state)) {`,
    tests: [simulation]
  }
]
