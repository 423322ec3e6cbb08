/** What the tests of the Product actor share: a product that decides in rounds, and how two states are compared. */
import type { Unit } from "@hikyaku/cluster/actor/Journal"
import { type Live, UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import * as Agenda from "@hikyaku/domain/stock/Agenda"
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import { initial, type Product } from "@hikyaku/domain/stock/ProductState"
import type { VersionedMap } from "@hikyaku/domain/stock/VersionedMap"
import * as Waitlist from "@hikyaku/domain/stock/Waitlist"
import { productStrides, walk } from "@hikyaku/domain/testing"
import * as fc from "fast-check"
import { TablesMemory } from "./ProductTablesMemory.ts"

const { decider } = productKind

/** Time inside the ids of commands, ms since the epoch. */
export const at = 1_760_000_000_000
let ids = 0

const byKey = <V extends object | number>(map: VersionedMap<string, V>) =>
  map.entries().sort(([a], [b]) => (a < b ? -1 : 1))

/** All that a state means: what is derived or outdated in it left out. */
export const content = (product: Product) => ({
  ...product,
  tickets: byKey(product.tickets),
  agenda: decider.dueAt(product),
  line: Waitlist.tickets(product.line),
  members: byKey(product.members),
  purchases: byKey(product.purchases).map(([ticket, sold]) => [
    ticket,
    { ...sold, returns: [...sold.returns].sort((a, b) => (a.id < b.id ? -1 : 1)) }
  ]),
  settling: Agenda.entries(product.settling),
  bought: byKey(product.bought),
  tombstones: byKey(product.tombstones),
  fading: Agenda.entries(product.fading),
  sources: byKey(product.sources)
})

/** A product whose commands are decided in rounds, as its cell would. */
export class ProductHouse {
  readonly tables = new TablesMemory(productKind)
  readonly published: Array<Happening> = []
  private live: Live<Product>
  constructor(readonly id: string) {
    this.live = { state: initial(id), fence: { version: 0, writer: "", cell: "c", epoch: 0 }, clock: 0 }
  }

  get state(): Product {
    return this.live.state
  }

  /** Decides a round and commits it to the tables in memory; the unit is for whoever commits it elsewhere, too. */
  round(commands: ReadonlyArray<readonly [ProductCommand, number]>): Unit {
    const builder = new UnitBuilder(productKind, this.id, this.live)
    for (const [command, now] of commands) {
      builder.decide(command, now, commandIdFrom(at, 0, 0, ids++ / 2 ** 48), "", Number.POSITIVE_INFINITY)
    }
    const { live, unit } = builder.build("w")
    this.live = live
    if (unit.change !== null) {
      this.tables.writeMain(unit.change.main)
      unit.change.rows.forEach((write) => this.tables.write(write))
      this.published.push(...unit.change.outbox.map(({ happening }) => happening))
    }
    return unit
  }

  restored(): Product {
    const { main } = this.tables
    return main === null ? initial(this.id) : productKind.restore(this.id, main, this.tables.live())
  }
}

/** A walk's commands with their instants, timers included, cut into rounds. */
export const rounds = fc.tuple(productStrides(80), fc.infiniteStream(fc.integer({ min: 1, max: 5 }))).map(
  ([steps, sizes]) => {
    const commands = walk(decider, "p-1", steps).map(({ command, now }) => [command, now] as const)
    const cut: Array<ReadonlyArray<readonly [ProductCommand, number]>> = []
    for (let from = 0; from < commands.length;) {
      const size = sizes.next().value ?? 1
      cut.push(commands.slice(from, from + size))
      from += size
    }
    return cut
  }
)
