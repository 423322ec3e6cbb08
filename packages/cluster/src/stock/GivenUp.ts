/**
 * Tickets whose caller has stopped waiting: they must end up without stock, also when their allocation succeeds late (G6).
 * Keyed by ticket. The Product actor alone releases; what it has not confirmed in time is put on record here and tried
 * again, by any gateway, until it has. Should even that fail, the allocation lapses at its expiry.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import { type ProductReply, ReleaseReason, ticketAgeMax } from "@hikyaku/domain/stock/Product"
import { Context, Duration, Effect, Either, Layer, type ParseResult, Schedule, Schema } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import { productKind } from "./ProductActor.ts"

export interface Ticket {
  readonly ticket: TicketId
  readonly product: ProductId
  readonly reason: ReleaseReason
  /** The replay's instant (ms), where there is one. */
  readonly at?: number | undefined
}

export class GivenUp extends Context.Tag("@hikyaku/cluster/GivenUp")<GivenUp, {
  /** Gives a ticket up; the actor's answer, or null when there was none in time: then it goes on in the background. */
  readonly release: (ticket: Ticket) => Effect.Effect<ProductReply | null>
  /** Those of the tickets that are on record, and why they were given up. */
  readonly recorded: (
    tickets: ReadonlyArray<TicketId>
  ) => Effect.Effect<ReadonlyMap<TicketId, ReleaseReason>, SqlError.SqlError | ParseResult.ParseError>
  /** Tries what is on record; how many were settled. */
  readonly resume: Effect.Effect<number>
}>() {}

/** How long the caller waits for the confirmation, ms. */
const graceMs = 2_000
/** How often what is on record is tried. */
const resumeInterval = Duration.seconds(1)
/** A ticket is tried again after so long. */
const retryAfter = Duration.seconds(5)
/** Tickets tried in one pass. */
const resumeMax = 500
/** Tickets remembered while they cannot be put on record; beyond it the oldest are left to lapse. */
const rememberedMax = 10_000

const Row = Schema.Struct({ ticket: TicketId, product: ProductId, reason: ReleaseReason, old: Schema.Boolean })
const decodeRecorded = Schema.decodeUnknown(Schema.Array(Schema.Struct({ ticket: TicketId, reason: ReleaseReason })))
const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const actors = yield* ActorClient
  const remembered = new Map<TicketId, Ticket>()

  const record = (tickets: ReadonlyArray<Ticket>) =>
    sql`insert into ticket_given_up (ticket, product, reason)
      select * from unnest(${tickets.map(({ ticket }) => ticket)}::uuid[], ${
      tickets.map(({ product }) => product)
    }::text[], ${tickets.map(({ reason }) => reason)}::text[]) on conflict (ticket) do nothing`

  const remember = (ticket: Ticket) => {
    if (remembered.size >= rememberedMax) {
      const oldest = remembered.keys().next()
      if (oldest.done !== true) remembered.delete(oldest.value)
    }
    remembered.set(ticket.ticket, ticket)
  }

  const command = ({ reason, ticket }: Ticket) => ({ _tag: "ReleaseTicket", ticket, reason }) as const

  const release = (ticket: Ticket) =>
    actors.send(productKind, {
      actor: ticket.product,
      command: command(ticket),
      within: graceMs,
      at: ticket.at
    }).pipe(
      Effect.map((reply) => (reply._tag === "TombstonesFull" ? null : reply)),
      Effect.catchAll(() => Effect.succeed(null)),
      Effect.tap((reply) =>
        reply === null
          ? record([ticket]).pipe(Effect.catchAll(() => Effect.sync(() => remember(ticket))))
          : Effect.void
      ),
      // Whoever gives a ticket up may be gone by now.
      Effect.uninterruptible
    )

  const recorded: GivenUp["Type"]["recorded"] = (tickets) =>
    sql`select ticket::text as ticket, reason from ticket_given_up where ticket = any(${tickets}::uuid[])`.pipe(
      Effect.flatMap(decodeRecorded),
      Effect.map((rows) => {
        const found = new Map(rows.map(({ reason, ticket }) => [ticket, reason]))
        for (const ticket of tickets) {
          const here = remembered.get(ticket)
          if (here !== undefined) found.set(ticket, here.reason)
        }
        return found
      })
    )

  const resume = Effect.gen(function*() {
    if (remembered.size > 0) {
      const tickets = [...remembered.values()]
      yield* record(tickets)
      for (const { ticket } of tickets) remembered.delete(ticket)
    }
    const rows = yield* sql`update ticket_given_up set touched_at = clock_timestamp()
      where ticket in (select ticket from ticket_given_up
        where touched_at < clock_timestamp() - ${Duration.toMillis(retryAfter)}::float8 * interval '1 ms'
        order by touched_at limit ${resumeMax} for update skip locked)
      returning ticket, product, reason,
        since < clock_timestamp() - ${ticketAgeMax}::float8 * interval '1 ms' as old`.pipe(Effect.flatMap(decodeRows))
    if (rows.length === 0) return 0
    const answers = yield* actors.sendAll(
      productKind,
      rows.map((row) => ({ actor: row.product, command: command(row), within: graceMs }))
    )
    // A ticket that is too old to be executed can hold nothing that does not lapse by itself.
    const settled = rows.filter((row, n) => {
      const answer = answers[n]
      return row.old || (answer !== undefined && Either.isRight(answer) && answer.right._tag !== "TombstonesFull")
    })
    if (settled.length > 0) {
      yield* sql`delete from ticket_given_up where ticket in ${sql.in(settled.map(({ ticket }) => ticket))}`
    }
    return settled.length
  }).pipe(
    Effect.catchAll((cause) => Effect.as(Effect.logWarning("tickets given up cannot be tried again", cause), 0))
  )

  return GivenUp.of({ release, recorded, resume })
})

export const layer: Layer.Layer<GivenUp, never, SqlClient.SqlClient | ActorClient> = Layer.effect(GivenUp, make)

/** Goes on with what was not confirmed; runs in every gateway. */
export const layerResumer: Layer.Layer<never, never, GivenUp> = Layer.scopedDiscard(
  Effect.flatMap(
    GivenUp,
    (givenUp) => givenUp.resume.pipe(Effect.repeat(Schedule.spaced(resumeInterval)), Effect.forkScoped)
  )
)
