/** What the store says, asked in SQL of the tests' own: the books while everything runs, and every ticket afterwards. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

export interface Allocation {
  readonly product: ProductId
  readonly ticket: TicketId
  readonly member: string
  readonly quantity: number
  readonly sequence: number
  readonly status: string
}

/** Everything on record that a history is compared with. */
export interface Facts {
  readonly allocations: ReadonlyMap<TicketId, Allocation>
  /** Standing of every ticket that was in line: waiting, offered, confirmed, ... */
  readonly waits: ReadonlyMap<TicketId, string>
  /** Tags of the outcomes on record, by ticket. */
  readonly outcomes: ReadonlyMap<TicketId, string>
  /** Why tickets are barred that were given up while they held nothing; kept for longer than any test lasts. */
  readonly tombstones: ReadonlyMap<TicketId, string>
  /** What was carried out of each command, once for each of its ids, by `executionKey`. */
  readonly executions: ReadonlyMap<string, ReadonlyArray<Execution>>
  readonly places: Places
}

/** A command that was carried out: its outcome is a row, whoever heard of it (R3). */
export interface Execution {
  readonly tag: string
  /** See `Places`; not known everywhere. */
  readonly place: number | undefined
}

/** Equal for equal commands to one product. */
export const executionKey = (product: ProductId, hash: string): string => `${hash} ${product}`

/**
 * In which order rows were written, as numbers that are compared within one product: an actor's commits follow one another, so
 * their transactions' numbers do. It tells a search where to begin; no verdict rests on it.
 */
export interface Places {
  /** Of the outcomes of adds, by ticket. */
  readonly adds: ReadonlyMap<TicketId, number>
  /** Of the last change of each ticket's place in line. */
  readonly waits: ReadonlyMap<TicketId, number>
  /** Of what came in, by product and the pieces that had come in by then. */
  readonly intakes: ReadonlyMap<ProductId, ReadonlyMap<number, number>>
}

export interface Watch {
  /** How often the books were found in order, and what was wrong otherwise. */
  readonly rounds: () => number
  readonly problems: ReadonlyArray<string>
}

export interface Books {
  readonly sql: SqlClient.SqlClient
  /** Products whose books do not agree at this instant, with the figures. */
  readonly faults: Effect.Effect<ReadonlyArray<string>, SqlError>
  /** Looks at the books again and again, as long as the scope is open; a store that is down is asked again. */
  readonly watch: (every: Duration.DurationInput) => Effect.Effect<Watch, never, Scope.Scope>
  readonly facts: Effect.Effect<Facts, SqlError>
  /** Tickets among these that hold stock now. */
  readonly holding: (tickets: ReadonlyArray<TicketId>) => Effect.Effect<ReadonlyArray<Allocation>, SqlError>
}

/** When a row was written. */
interface Placed {
  readonly place: number
}

const make = (sql: SqlClient.SqlClient): Books => {
  // One statement, one instant. G1 is the second line: what was promised never exceeds what came in.
  const faults = sql<{ readonly fault: string }>`
    with cart as (
      select product, sum(quantity) filter (where status in ('allocated', 'held'))::bigint as open,
        sum(quantity) filter (where status in ('sold', 'settled'))::bigint as sold,
        count(*) as n, min(sequence) as low, max(sequence) as high, count(distinct sequence) as numbers
      from allocation group by product
    ), back as (select product, sum(quantity)::bigint as pieces from allocation_return group by product),
    line as (select product, sum(quantity)::bigint as pieces from ticket_wait where status = 'offered' group by product),
    books as (
      select p.id, p.taken_in, p.shortage, p.available, p.allocated, p.offered, p.sold, p.sequence,
        coalesce(c.open, 0) as open, coalesce(c.sold, 0) - coalesce(b.pieces, 0) as bought,
        coalesce(l.pieces, 0) as set_aside, coalesce(c.n, 0) as n, coalesce(c.low, 1) as low,
        coalesce(c.high, 0) as high, coalesce(c.numbers, 0) as numbers
      from product p left join cart c on c.product = p.id left join back b on b.product = p.id
        left join line l on l.product = p.id
    )
    select row_to_json(books)::text as fault from books
    where open + bought + set_aside > taken_in + shortage
      or taken_in + shortage <> available + allocated + offered + sold
      or open <> allocated or bought <> sold or set_aside <> offered
      or low <> 1 or high <> n or numbers <> n or high <> sequence`.pipe(
    Effect.map((rows) => rows.map(({ fault }) => fault))
  )
  return {
    sql,
    faults,
    watch: (every) =>
      Effect.gen(function*() {
        let rounds = 0
        const problems: Array<string> = []
        yield* faults.pipe(
          Effect.map((found) => {
            if (found.length === 0) rounds++
            else if (problems.length < 20) problems.push(...found)
          }),
          Effect.ignore,
          Effect.repeat(Schedule.spaced(every)),
          Effect.forkScoped
        )
        return { rounds: () => rounds, problems }
      }),
    facts: Effect.gen(function*() {
      const allocations = yield* sql<Allocation>`select product, ticket::text as ticket, member, quantity,
        sequence::float8 as sequence, status from allocation order by product, sequence`
      const waits = yield* sql<Placed & { readonly ticket: string; readonly status: string }>`
        select ticket::text as ticket, status, xmin::text::float8 as place from ticket_wait`
      // Rows of one commit stand in the order in which they were decided: a part of the transaction's number keeps it.
      const outcomes = yield* sql<
        Placed & {
          readonly product: string
          readonly command: string
          readonly hash: string
          readonly tag: string
          readonly takenIn: number | null
        }
      >`select actor as product, command::text as command, hash, reply->>'_tag' as tag,
          (reply->>'takenIn')::float8 as "takenIn",
          xmin::text::float8 + row_number() over (partition by xmin::text order by tableoid, ctid)::float8 / 100000 as place
        from outcome where kind = 'Product'`
      const tombstones = yield* sql<{ readonly ticket: string; readonly reason: string }>`
        select ticket::text as ticket, reason from ticket_tombstone`
      const executions = new Map<string, Array<Execution>>()
      for (const { hash, place, product, tag } of outcomes) {
        const key = executionKey(product, hash)
        const known = executions.get(key)
        if (known === undefined) executions.set(key, [{ tag, place }])
        else known.push({ tag, place })
      }
      const intakes = new Map<ProductId, Map<number, number>>()
      for (const { place, product, takenIn } of outcomes) {
        if (takenIn === null) continue
        const known = intakes.get(product)
        if (known === undefined) intakes.set(product, new Map([[takenIn, place]]))
        else if (!known.has(takenIn)) known.set(takenIn, place)
      }
      return {
        tombstones: new Map(tombstones.map((row) => [row.ticket, row.reason])),
        executions,
        allocations: new Map(allocations.map((row) => [row.ticket, row])),
        waits: new Map(waits.map((row) => [row.ticket, row.status])),
        outcomes: new Map(outcomes.map((row) => [row.command, row.tag])),
        places: {
          adds: new Map(outcomes.map(({ command, place }) => [command, place])),
          waits: new Map(waits.map(({ place, ticket }) => [ticket, place])),
          intakes
        }
      }
    }),
    holding: (tickets) =>
      sql<Allocation>`select product, ticket::text as ticket, member, quantity, sequence::float8 as sequence, status
        from allocation where status in ('allocated', 'held', 'sold', 'settled')
          and ticket = any(${tickets}::uuid[])`
  }
}

/** Opens the books of a database; has connections of its own. */
export const openBooks = (url: string): Effect.Effect<Books, never, Scope.Scope> =>
  Layer.build(Layer.orDie(PgClient.layer({
    url: Redacted.make(url),
    maxConnections: 4,
    applicationName: "hikyaku-test"
  }))).pipe(Effect.map((context) => make(Context.get(context, SqlClient.SqlClient))))
