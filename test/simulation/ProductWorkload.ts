/**
 * Products under load: carts, waitlists, offers, purchases, restocks, and shoppers who go away. In some runs carts lapse
 * within the run; then there is no model to compare with, and what is left are the books.
 */
import type { MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import type { Row } from "@hikyaku/cluster/actor/Table"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import type { ProductCommand, ProductEvent, ProductReply } from "@hikyaku/domain/stock/Product"
import type { Product } from "@hikyaku/domain/stock/ProductState"
import { judge } from "../linearizability/Linearizability.ts"
import { productModel } from "../linearizability/ProductModel.ts"
import type { Workload } from "./Workload.ts"

/** ms that carts and offers last in runs in which they lapse. */
const shortLife = 1500
/** Restocks per product: each is a source of its own, since their order is not known. */
const restocksMax = 12

/** Replies that are no outcomes: reads, and what bad input is told. */
const answers: ReadonlySet<ProductReply["_tag"]> = new Set([
  "UnknownTicket",
  "TicketTaken",
  "TombstonesFull",
  "UnknownProduct",
  "StockRefused",
  "Woken"
])

const sum = (rows: ReadonlyArray<Row>, column: string): number =>
  rows.reduce((total, row) => total + Number(row[column]), 0)

/** The rows of one product in one of its tables. */
const rowsOf = (store: MemoryStore, table: string, product: string): ReadonlyArray<Row> =>
  [...store.table("Product", table).values()].filter((row) => row["product"] === product)

/** What the books of one product say against its rows (G1, G4). */
const books = (store: MemoryStore, product: string, main: Row): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const check = (what: string, actual: number, expected: number) => {
    if (actual !== expected) problems.push(`${product}: ${what} is ${actual}, its rows say ${expected}`)
  }
  const book = (column: string) => Number(main[column])
  const allocations = rowsOf(store, "allocation", product)
  const standing = (...statuses: ReadonlyArray<string>) =>
    allocations.filter((row) => statuses.includes(String(row["status"])))
  check("allocated", book("allocated"), sum(standing("allocated", "held"), "quantity"))
  check("sold", book("sold"), sum(standing("sold", "settled"), "quantity"))
  const waits = rowsOf(store, "ticket_wait", product)
  check("offered", book("offered"), sum(waits.filter((row) => row["status"] === "offered"), "quantity"))
  const promised = book("allocated") + book("offered") + book("sold")
  if (promised > book("taken_in") + book("shortage")) {
    problems.push(`G1: ${product} has promised ${promised} of ${book("taken_in")} + ${book("shortage")}`)
  }
  check("available", book("available"), book("taken_in") + book("shortage") - promised)
  const sequences = allocations.map((row) => Number(row["sequence"])).toSorted((a, b) => a - b)
  if (sequences.some((sequence, i) => sequence !== i + 1) || sequences.length !== book("sequence")) {
    problems.push(`G4: ${product} has given the numbers ${sequences.join(" ")}, the last is ${book("sequence")}`)
  }
  return problems
}

const openStatus: ReadonlySet<string> = new Set(["allocated", "held", "sold", "waiting", "offered"])

export const makeProductWorkload = (
  random: SeededRandom
): Workload<Product, ProductCommand, ProductReply, ProductEvent> => {
  const lapses = random.chance(0.25)
  const products = Array.from({ length: random.between(1, 3) }, (_, i) => `product-${i}`)
  const stock = random.between(1, 12)
  const patient = random.chance(0.6) ? 0.3 : 0
  /** Tickets that somebody asked for, the latest last. */
  const tickets = new Map<string, Array<CommandId>>(products.map((product) => [product, []]))
  /** Tickets of which it was answered that they were given up: they may never hold stock again (G6). */
  const givenUp = new Map<string, string>()
  let restocks = 0
  let orders = 0

  const someTicket = (random: SeededRandom, product: string): CommandId | undefined => {
    const known = tickets.get(product) ?? []
    return known[random.between(Math.max(0, known.length - 8), known.length - 1)]
  }

  const add = (random: SeededRandom, product: string, ticket: CommandId): ProductCommand => {
    tickets.get(product)?.push(ticket)
    return {
      _tag: "AddToCart",
      ticket,
      member: `m-${random.between(1, 5)}`,
      quantity: random.between(1, 3),
      waitlist: random.chance(patient)
    }
  }

  const next = (random: SeededRandom, product: string, id: CommandId): ProductCommand => {
    const ticket = someTicket(random, product)
    if (ticket === undefined) return add(random, product, id)
    switch (random.between(0, 11)) {
      case 0:
        return { _tag: "ReleaseTicket", ticket, reason: "Cancelled" }
      case 1:
        return { _tag: "BuyTicket", order: `o-${++orders}`, ticket }
      case 2:
        return { _tag: "ConfirmOffer", ticket }
      case 3:
        return { _tag: "ReadStock" }
      case 4:
        return { _tag: "ReadTicket", ticket }
      case 5:
        if (restocks >= restocksMax) return { _tag: "ReadStock" }
        return {
          _tag: "ChangeStock",
          source: `s-${++restocks}`,
          sourceVersion: 1,
          meaning: "physical",
          change: { _tag: "Delta", delta: random.between(1, 3) }
        }
      default:
        return add(random, product, id)
    }
  }

  const isOpen = (store: MemoryStore, product: string, ticket: string): boolean =>
    [...rowsOf(store, "allocation", product), ...rowsOf(store, "ticket_wait", product)]
      .some((row) => row["ticket"] === ticket && openStatus.has(String(row["status"])))

  const watch = (store: MemoryStore): ReadonlyArray<string> => {
    const problems: Array<string> = []
    for (const [product, { main }] of store.kind("Product").actors) problems.push(...books(store, product, main))
    for (const [ticket, product] of givenUp) {
      if (isOpen(store, product, ticket)) problems.push(`G6: ${ticket} of ${product} was given up and holds stock`)
    }
    return problems
  }

  /** R13: what was published is what was done, each once. */
  const audit = (store: MemoryStore): ReadonlyArray<string> => {
    const problems: Array<string> = []
    const keys = store.outbox.map(({ actor, version }) => `${actor} ${version}`)
    if (new Set(keys).size < keys.length) problems.push("R13: an outbox key occurs twice")
    for (const [product, { dueAt, main }] of store.kind("Product").actors) {
      const published = store.outbox.filter(({ actor }) => actor === product)
        .flatMap(({ happenings }) => happenings)
        .filter(({ happening }) => happening._tag === "CartAdded").length
      if (published !== Number(main["sequence"])) {
        problems.push(`R13: ${product} has published ${published} of ${String(main["sequence"])} allocations`)
      }
      if (lapses && (dueAt !== null || Number(main["allocated"]) + Number(main["offered"]) > 0)) {
        problems.push(`R15: ${product} is at rest and still due at ${String(dueAt)}`)
      }
    }
    return problems
  }

  return {
    name: "product",
    kind: productKind,
    actors: products,
    opening: () => [
      lapses ? { _tag: "DefineProduct", cartMs: shortLife, offerMs: shortLife } : { _tag: "DefineProduct" },
      {
        _tag: "ChangeStock",
        source: "shop",
        sourceVersion: 1,
        meaning: "physical",
        change: { _tag: "Delta", delta: stock }
      }
    ],
    next,
    // Who never heard of a cart wants none of it.
    afterSilence: (random, command) =>
      command._tag === "AddToCart" && random.chance(0.7)
        ? { _tag: "ReleaseTicket", ticket: command.ticket, reason: "TimedOut" }
        : null,
    tampered: (command) =>
      command._tag === "AddToCart" ? { ...command, quantity: command.quantity + 1 } : { _tag: "Wake" },
    isFinal: (command, reply) => {
      if (command._tag === "ReadTicket" || command._tag === "ReadStock") return false
      // A sale stays a sale, so this need not be remembered.
      if (command._tag === "ReleaseTicket" && reply._tag === "NotOpen") return false
      return !answers.has(reply._tag)
    },
    mayFault: () => false,
    heard: (product, command, reply) => {
      const gone = reply._tag === "TimedOut" || reply._tag === "Cancelled"
      if (gone && (command._tag === "ReleaseTicket" || command._tag === "AddToCart")) {
        givenUp.set(command.ticket, product)
      }
    },
    watch,
    audit,
    restMs: lapses ? 6 * shortLife : 0,
    judge: (_, history) => lapses ? null : judge(productModel(stock), history)
  }
}
