/**
 * The runners of a simulation: each hosts cells of one kind over the same store, and they come to harm: they crash, their
 * cells move, or move while the old owner goes on unaware. Who is asked for a cell follows the fleet's directory.
 */
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { Cell } from "@hikyaku/cluster/actor/Cell"
import type { CellLimits } from "@hikyaku/cluster/actor/CellLimits"
import type { Journal } from "@hikyaku/cluster/actor/Journal"
import { cellNames, cellOf, hotCellOf } from "@hikyaku/cluster/actor/Placement"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { type Context, Duration, Effect, Exit, Scope } from "effect"
import type { Faults } from "./Faults.ts"
import type { VirtualTime } from "./VirtualTime.ts"

type AnyCell = Pick<Cell<never, never, never, never>, "offer" | "stop" | "intake">

export interface Runner {
  readonly name: string
  /** By `kind/cell`, as carriers look them up. */
  readonly cells: Map<string, AnyCell>
  readonly scope: Scope.CloseableScope
  readonly skew: number
  /** Nothing that it says is heard any more. */
  dead: boolean
}

export interface FleetOptions<State, Command, Reply, Event> {
  readonly kind: ActorKind<State, Command, Reply, Event>
  readonly journal: Context.Tag.Service<Journal>
  readonly time: VirtualTime
  /** ms since the epoch at the beginning of time. */
  readonly start: number
  readonly random: SeededRandom
  readonly faults: () => Faults
  readonly cells: number
  /** Actors that may be given cells of their own. Few, since each is one more that a crash takes away. */
  readonly movable: ReadonlyArray<string>
  readonly runners: number
  readonly limits: Partial<CellLimits>
  readonly note: (line: string) => void
}

export class Fleet<State, Command, Reply, Event> {
  private readonly options: FleetOptions<State, Command, Reply, Event>
  private readonly runners: Array<Runner> = []
  /** Who owns a cell, and who did before. */
  private readonly owners = new Map<string, Runner>()
  private readonly former = new Map<string, Runner>()
  private numbers = 0

  constructor(options: FleetOptions<State, Command, Reply, Event>) {
    this.options = options
  }

  get cellNames(): ReadonlyArray<string> {
    return [...cellNames(this.options.cells), ...this.options.movable.map(hotCellOf)]
  }

  /** Who is asked for a cell; at times the one that had it before. */
  route(cell: string): Runner | undefined {
    const { faults, random } = this.options
    const former = this.former.get(cell)
    return former !== undefined && random.chance(faults().messageAstray) ? former : this.owners.get(cell)
  }

  private key(cell: string): string {
    return `${this.options.kind.name}/${cell}`
  }

  private readonly boot = Effect.gen(this, function*() {
    const { faults, random } = this.options
    const skew = (random.next() * 2 - 1) * faults().clockSkew
    const runner: Runner = {
      name: `r${++this.numbers}`,
      cells: new Map(),
      scope: yield* Scope.make(),
      skew,
      dead: false
    }
    this.runners.push(runner)
    return runner
  })

  private host(runner: Runner, name: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { journal, kind, limits, start, time } = this.options
      const now = () => start + time.now + runner.skew
      const cell = new Cell({
        kind,
        name,
        incarnation: `w${++this.numbers}`,
        journal: journal.of(kind),
        generation: journal.generation,
        clock: { now: () => Math.floor(now()), real: now, logical: () => false },
        monotonic: () => time.now,
        limits,
        home: (actor) => cellOf(actor, this.options.cells)
      })
      runner.cells.set(this.key(name), cell)
      return Effect.asVoid(Effect.forkIn(cell.serve, runner.scope))
    })
  }

  /** Gives a cell to a runner that does not have it. */
  private settle(cell: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { note, random } = this.options
      const possible = this.runners.filter((runner) => !runner.dead && !runner.cells.has(this.key(cell)))
      const next = possible[random.between(0, possible.length - 1)]
      if (next === undefined) return Effect.void
      const former = this.owners.get(cell)
      if (former !== undefined) this.former.set(cell, former)
      this.owners.set(cell, next)
      note(`${cell} -> ${next.name}`)
      return this.host(next, cell)
    })
  }

  private stop(runner: Runner, cell: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const old = runner.cells.get(this.key(cell))
      runner.cells.delete(this.key(cell))
      return old === undefined ? Effect.void : old.stop
    })
  }

  readonly begin: Effect.Effect<void> = Effect.gen(this, function*() {
    for (let i = 0; i < this.options.runners; i++) yield* this.boot
    for (const cell of this.cellNames) yield* this.settle(cell)
  })

  private readonly someCell = Effect.sync(() => {
    const names = this.cellNames
    return names[this.options.random.between(0, names.length - 1)] ?? names[0]!
  })

  /** A cell moves as the library moves it: stopped there, started here. */
  readonly move: Effect.Effect<void> = Effect.gen(this, function*() {
    const cell = yield* this.someCell
    const owner = this.owners.get(cell)
    if (owner === undefined || owner.dead) return
    yield* this.stop(owner, cell)
    yield* this.settle(cell)
  })

  /** A cell is taken over while its owner goes on, until it learns of it. */
  readonly split: Effect.Effect<void> = Effect.gen(this, function*() {
    const cell = yield* this.someCell
    const owner = this.owners.get(cell)
    if (owner === undefined || owner.dead) return
    yield* this.settle(cell)
    yield* Effect.sleep(Duration.millis(800 * this.options.random.next()))
    if (this.owners.get(cell) !== owner) yield* this.stop(owner, cell)
  })

  /** A runner is killed: from now on nobody hears of it, though what it has sent to the store may still happen. */
  readonly crash: Effect.Effect<void> = Effect.gen(this, function*() {
    const { note, random } = this.options
    const alive = this.runners.filter(({ dead }) => !dead)
    const victim = alive[random.between(0, alive.length - 1)]
    if (victim === undefined) return
    note(`${victim.name} dies`)
    victim.dead = true
    const lost = this.cellNames.filter((cell) => this.owners.get(cell) === victim)
    if (random.chance(0.5)) yield* this.bury(victim)
    yield* this.boot
    for (const cell of lost) {
      yield* Effect.sleep(Duration.millis(40 * random.next()))
      if (this.owners.get(cell) === victim) yield* this.settle(cell)
    }
    yield* Effect.sleep(Duration.millis(200 * random.next()))
    yield* this.bury(victim)
  })

  private bury(runner: Runner): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.runners.splice(0, this.runners.length, ...this.runners.filter((each) => each !== runner))
      return Scope.close(runner.scope, Exit.void)
    })
  }

  /** All that is left of it stops; gives the commands that nobody had answered. */
  readonly end: Effect.Effect<number> = Effect.gen(this, function*() {
    let open = 0
    for (const runner of [...this.runners]) {
      for (const cell of runner.cells.values()) {
        open += cell.intake.size
        yield* cell.stop
      }
      yield* this.bury(runner)
    }
    return open
  })
}
