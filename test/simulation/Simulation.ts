/**
 * One run of the seeded simulation (R24): clients, a network, runners and one store, in virtual time, with everything going
 * wrong that the seed says. The same seed gives the same run, event by event.
 */
import { ClientQueue, queueLimitsDefault } from "@hikyaku/cluster/actor/ClientQueue"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { Relocate } from "@hikyaku/cluster/actor/Relocation"
import { makeSeededRandom, type SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { type Context, Duration, Effect, Fiber, Logger, LogLevel } from "effect"
import type { Operation } from "../linearizability/Linearizability.ts"
import { afflict, drawFaults, type Faults, noFaults } from "./Faults.ts"
import { Fleet } from "./Fleet.ts"
import { History, type Recorded } from "./History.ts"
import { makePost } from "./Network.ts"
import { seedMathRandom } from "./SeededMath.ts"
import { type Client, Shoppers } from "./Shoppers.ts"
import { VirtualTime } from "./VirtualTime.ts"
import type { Workload } from "./Workload.ts"

/** ms since the epoch at which every run begins. */
export const start = 1_760_000_000_000

export interface Outcome {
  readonly seed: string
  readonly problems: ReadonlyArray<string>
  /** Every event in order. */
  readonly trace: ReadonlyArray<string>
  readonly commands: number
  readonly answered: number
  /** Histories that no order could be found for in time, nor shown to have none. */
  readonly undecided: number
  /** Turns of the scheduler that it took. */
  readonly turns: number
  /** ms of virtual time. */
  readonly lasted: number
}

/** Turns after which a run is taken for stuck. */
const turnsMax = 3_000_000

/** ms for which what was under way may still come to rest once nothing goes wrong any more. */
const calm = 3500
/** ms between looks at the clients' deadlines. */
const expireInterval = 5

const sizes = (random: SeededRandom) => ({
  cells: random.between(1, 4),
  runners: random.between(2, 4),
  clients: random.between(1, 4),
  lanes: random.between(1, 4),
  steps: random.between(3, 8),
  limits: {
    commandsMax: random.chance(0.3) ? 6 : 1000,
    bytesMax: 1_000_000,
    roundMax: random.chance(0.5) ? random.between(1, 4) : 100,
    liveMax: random.chance(0.3) ? 1 : 100,
    rememberedMax: random.chance(0.3) ? 2 : 100,
    repeatAge: random.chance(0.3) ? 0 : 2000,
    attemptsMax: random.chance(0.3) ? 2 : 8
  },
  queue: {
    ...queueLimitsDefault,
    cellMax: random.chance(0.2) ? 5 : 1000,
    batchMax: random.chance(0.4) ? random.between(1, 4) : 100
  }
})

export const simulate = <State, Command, Reply, Event>(
  seed: string,
  makeWorkload: (random: SeededRandom) => Workload<State, Command, Reply, Event>
): Outcome => {
  seedMathRandom(seed)
  const random = makeSeededRandom(seed)
  const workload = makeWorkload(random)
  const { actors, kind } = workload
  const movable = actors.slice(0, 1)
  const size = sizes(random)
  const unlucky = drawFaults(random)
  let faults: Faults = noFaults
  const current = () => faults
  const time = new VirtualTime(random)
  const history = new History<Command, Reply>()
  const trace: Array<string> = []
  const note = (line: string) => {
    trace.push(`${time.now.toFixed(3)} ${line}`)
  }
  const store = new MemoryStore()
  store.now = () => start + time.now
  afflict(store, current, random, (ms, land) => void time.after(ms, land))
  const { fate } = store
  store.fate = () => {
    for (const problem of workload.watch(store)) history.problem(`at ${time.now} ms: ${problem}`)
    return fate()
  }

  let over = false
  const program = Effect.gen(function*() {
    const journal = noting(yield* Journal, note)
    const fleet = new Fleet({
      kind,
      journal,
      time,
      start,
      random,
      faults: current,
      cells: size.cells,
      movable,
      runners: size.runners,
      limits: size.limits,
      note
    })
    const clients = Array.from({ length: size.clients }, (_, i): Client => {
      const name = `c${i}`
      const post = makePost({
        client: name,
        kind: kind.name,
        route: (cell) => fleet.route(cell),
        time,
        random,
        faults: current,
        note
      })
      const queue = new ClientQueue({
        cells: size.cells,
        limits: size.queue,
        post,
        rest: (ms, wake) => void time.after(ms, wake),
        soon: time.soon,
        monotonic: () => time.now
      })
      return { name, queue }
    })
    const shoppers = new Shoppers({ workload, clients, history, time, start, random, note })
    const opening = new History<Command, Reply>()
    const settled = new Shoppers({ workload, clients, history: opening, time, start, random, note })

    const every = (ms: () => number, event: Effect.Effect<void>) =>
      Effect.suspend(() =>
        Number.isFinite(ms()) ? Effect.sleep(Duration.millis(ms() * 2 * random.next())) : Effect.never
      )
        .pipe(Effect.andThen(event), Effect.forever)
    const expire = () => {
      for (const { queue } of clients) queue.expire()
      if (!over) time.after(expireInterval, expire)
    }
    const wake = Effect.gen(function*() {
      const due = yield* journal.of(kind).due(fleet.cellNames, start + time.now, 100)
      for (const { actor } of due) {
        clients[0]!.queue.send({
          actor,
          id: shoppers.freshId(),
          command: kind.decider.wake,
          at: null,
          expiresAt: time.now + 200,
          resume: () => {},
          settled: false,
          sent: false,
          astray: false
        })
      }
    }).pipe(Effect.ignore)
    const relocate = Effect.sync(() => {
      const [actor = ""] = movable
      const where = Relocate.make({ hot: random.chance(0.5), takeOver: random.chance(0.3) })
      const client = clients[random.between(0, clients.length - 1)]!
      client.queue.send({
        actor,
        id: shoppers.freshId(),
        command: where,
        at: null,
        expiresAt: time.now + 500,
        resume: (reply) => note(`relocated ${actor} ${JSON.stringify(reply)}`),
        settled: false,
        sent: false,
        astray: false
      })
    })
    const otherHistory = Effect.sync(() => {
      note("another history")
      store.generation++
    })

    yield* fleet.begin
    expire()
    const timers = yield* Effect.fork(workload.restMs > 0 ? every(() => 50, wake) : Effect.never)
    for (const actor of actors) {
      for (const command of workload.opening(actor)) {
        yield* settled.surely(actor, command, opening.begin(actor, settled.freshId(), command))
      }
    }
    for (const problem of opening.problems) history.problem(`opening: ${problem}`)
    faults = unlucky
    note(JSON.stringify({ size, faults }))
    const mishaps = yield* Effect.forkAll([
      every(() => faults.crashEvery, fleet.crash),
      every(() => faults.moveEvery, fleet.move),
      every(() => faults.splitEvery, fleet.split),
      every(() => faults.historyEvery, otherHistory),
      every(() => faults.relocateEvery, relocate)
    ])
    yield* Effect.forEach(
      clients.flatMap((client) => Array.from({ length: size.lanes }, () => client)),
      (client) => shoppers.shop(client, size.steps),
      { concurrency: "unbounded", discard: true }
    )
    // Mishaps that have begun come to their end: a runner that is half buried is nobody's state.
    faults = noFaults
    yield* Effect.sleep(Duration.millis(calm))
    yield* Fiber.interrupt(mishaps)
    yield* shoppers.reconcile
    yield* Effect.sleep(Duration.millis(calm + workload.restMs))
    for (const { name, queue } of clients) {
      if (queue.openCount > 0) history.problem(`R10: ${queue.openCount} commands are open at ${name} when all is over`)
    }
    over = true
    const open = yield* fleet.end
    if (open > 0) history.problem(`R10: ${open} commands are open at the cells when all is over`)
    yield* Fiber.interrupt(timers)
  }).pipe(
    Effect.provide(memory(store)),
    Effect.withClock(time.clock(start)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

  // Thousands of faults are made in a run, and nobody looks at where.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const fiber = Effect.runFork(program, { scheduler: time })
  let undecided = 0
  let turns = 0
  try {
    turns = time.run(() => fiber.unsafePoll() !== null, turnsMax)
    const exit = fiber.unsafePoll()
    if (exit === null) history.problem("nothing is left to do, and the run is not over")
    else if (exit._tag === "Failure") history.problem(`the run failed: ${String(exit.cause)}`)
    for (const problem of workload.watch(store)) history.problem(`in the end: ${problem}`)
    for (const problem of workload.audit(store)) history.problem(`in the end: ${problem}`)
    const recorded = onRecord(store, kind.name)
    for (const problem of compare(history, workload, recorded)) history.problem(problem)
    for (const actor of actors) {
      const verdict = workload.judge(actor, explainable(history.of(actor), recorded))
      if (verdict?._tag === "Undecided") undecided++
      if (verdict?._tag === "NotLinearizable") {
        history.problem(
          `G4: no order explains the history of ${actor}. Explained: ${JSON.stringify(verdict.longest.slice(-5))} ` +
            `Not explained by any of: ${JSON.stringify(verdict.next)}`
        )
      }
    }
  } catch (cause) {
    history.problem(String(cause))
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
  return {
    seed,
    problems: history.problems,
    trace,
    commands: history.records.length,
    answered: history.records.filter(({ answer }) => answer !== null).length,
    undecided,
    turns,
    lasted: time.now
  }
}

/** A journal whose refusals are in the trace. */
const noting = (journal: Context.Tag.Service<Journal>, note: (line: string) => void): Context.Tag.Service<Journal> => ({
  generation: journal.generation,
  of: (kind) => {
    const own = journal.of(kind)
    return {
      ...own,
      commit: (units) =>
        own.commit(units).pipe(
          Effect.tap((verdicts) =>
            Effect.sync(() => {
              units.forEach(({ actor, writer }, i) => {
                const verdict = verdicts[i]?._tag ?? "nothing"
                if (verdict !== "Committed") note(`${writer} ${actor} ${verdict}`)
              })
            })
          ),
          Effect.tapError(() => Effect.sync(() => note(`${units[0]?.writer ?? ""} Unknown`)))
        )
    }
  }
})

/** Outcomes on record, by `actor id`, and where each stands in the order of commits. */
const onRecord = (
  store: MemoryStore,
  kind: string
): ReadonlyMap<string, { readonly position: number; readonly reply: object }> =>
  new Map(
    [...store.kind(kind).outcomes.values()].map(({ actor, command, reply }, position) => [
      `${actor} ${command}`,
      { position, reply }
    ])
  )

/**
 * What one order has to explain: all that was heard, and all that nobody heard of and is on record; what is not on record
 * had no effect. In the order of commits where that is known, which makes the search short.
 */
const explainable = <Command, Reply>(
  records: ReadonlyArray<Recorded<Command, Reply>>,
  recorded: ReturnType<typeof onRecord>
): ReadonlyArray<Operation<Command, Reply>> =>
  records.flatMap(({ actor, answer, call, command, id }) => {
    const record = recorded.get(`${actor} ${id}`)
    if (answer === null && record === undefined) return []
    // On record is what the kind's own decider replied.
    const output = answer?.reply ?? record?.reply as Reply
    const at = answer?.at ?? Number.POSITIVE_INFINITY
    return [{ operation: { call, input: command, answer: { at, output } }, position: record?.position }]
  }).toSorted((a, b) =>
    a.position !== undefined && b.position !== undefined
      ? a.position - b.position
      : a.operation.answer.at - b.operation.answer.at
  ).map(({ operation }) => operation)

/** What was heard against what is on record (G2, G3), and the order in which one client's commands were decided (G4). */
const compare = <State, Command, Reply, Event>(
  history: History<Command, Reply>,
  workload: Workload<State, Command, Reply, Event>,
  onRecord: ReadonlyMap<string, { readonly position: number; readonly reply: object }>
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  for (const { actor, answer, command, id } of history.records) {
    const outcome = onRecord.get(`${actor} ${id}`)
    const recorded = outcome && JSON.stringify(outcome.reply)
    if (answer === null) continue
    const final = workload.isFinal(command, answer.reply)
    const heard = JSON.stringify(answer.reply)
    if (final && recorded !== heard) problems.push(`G2: ${id} was told ${heard}, on record is ${recorded ?? "nothing"}`)
    if (!final && recorded !== undefined) problems.push(`G3: ${id} was told ${heard}, on record is ${recorded}`)
  }
  // Commands whose first sending was answered: those have come straight through one client's queue.
  const lanes = new Map<string, Array<{ readonly id: string; readonly from: number; readonly position: number }>>()
  for (const { actor, attempts, command, id } of history.records) {
    // A fault is not on record: whoever has not heard of it repeats, and is decided anew, after those that came behind it.
    if (workload.mayFault(command)) continue
    const first = attempts[0]
    const position = onRecord.get(`${actor} ${id}`)?.position
    if (first?.reply?._tag !== "Reply" || position === undefined) continue
    const lane = `${first.client} ${actor}`
    lanes.set(lane, [...lanes.get(lane) ?? [], { id, from: first.from, position }])
  }
  for (const [lane, sent] of lanes) {
    sent.sort((a, b) => a.from - b.from)
    for (let i = 1; i < sent.length; i++) {
      if (sent[i]!.position < sent[i - 1]!.position) {
        problems.push(`G4: of ${lane}, ${sent[i]!.id} was decided before ${sent[i - 1]!.id}, which was sent first`)
      }
    }
  }
  return problems
}
