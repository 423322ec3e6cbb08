/**
 * On-site notices: what a member finds in their inbox in the shop. Numbered per member without gaps in the order of commits, so
 * that whoever has seen number n has seen all before it. A notice is stored once by its id, the delivery's.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, PubSub, Schedule, Schema, Stream } from "effect"

/** The store did not answer. Every method can be repeated. */
export class NoticeFault extends Schema.TaggedError<NoticeFault>()("NoticeFault", { reason: Schema.String }) {}

export interface NewNotice {
  readonly id: string
  readonly member: string
  readonly title: string
  /** HTML. */
  readonly body: string
}

/** As a member sees it. Instants in ms of the shop's clock. */
export interface Notice {
  readonly id: string
  readonly n: number
  readonly title: string
  readonly body: string
  readonly at: number
  readonly readAt: number | null
}

/** Notices of one answer, or of one part of a stream. */
export const noticesMax = 200
/** How long a watcher sleeps at most when nobody wakes it: a wake-up can get lost, a row cannot. */
const lookAgain = Duration.seconds(15)
/** Wake-ups kept for a watcher that is busy; it looks at the rows anyway. */
const wakesMax = 64
/** Members in one wake-up: what PostgreSQL carries is bounded by 8,000 bytes. */
const wokenMax = 60
/** Channel of the wake-ups. */
const wakeChannel = "hikyaku_notice"

export class Notices extends Context.Tag("@hikyaku/cluster/delivery/Notices")<Notices, {
  /** Stores notices, each once by its id; repeats are left as they are. */
  readonly put: (notices: ReadonlyArray<NewNotice>) => Effect.Effect<void, NoticeFault>
  /** The newest first; `before`: those with lower numbers. At most `noticesMax`. */
  readonly list: (
    member: string,
    options: { readonly before?: number | undefined; readonly unread?: boolean | undefined; readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<Notice>, NoticeFault>
  readonly unread: (member: string) => Effect.Effect<number, NoticeFault>
  /** Marks as read up to this number, or those named; how many were not read before. */
  readonly markRead: (
    member: string,
    what: { readonly upTo: number } | { readonly ids: ReadonlyArray<string> }
  ) => Effect.Effect<number, NoticeFault>
  /** All after number `after`, in order, then new ones as they come, each once; never ends. Default: from now on. */
  readonly watch: (member: string, after?: number) => Stream.Stream<Notice, NoticeFault>
}>() {}

/**
 * Locks the inboxes in the order of members, until commit: two transactions with the same members cannot lock each other out,
 * and what the next statement sees is all that was numbered before.
 */
const lockSql = `insert into inbox (member, last_n) select distinct member, 0 from unnest($1::text[]) as g(member)
order by member on conflict (member) do update set last_n = inbox.last_n`

/** $1 ids, $2 members, $3 titles, $4 bodies. */
const insertSql = `with given as (
  select distinct on (id) * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    with ordinality as g(id, member, title, body, place) order by id, place
),
fresh as materialized (select g.* from given g where not exists (select from notice n where n.id = g.id)),
moved as (
  update inbox i set last_n = i.last_n + c.n from (select member, count(*) as n from fresh group by member) c
  where i.member = c.member returning i.member, i.last_n - c.n as base
)
insert into notice (member, n, id, title, body)
select f.member, m.base + row_number() over (partition by f.member order by f.place), f.id, f.title, f.body
from fresh f join moved m using (member)
returning member`

const columns = `id, n::float8 as n, title, body, (extract(epoch from at) * 1000)::float8 as at,
  (extract(epoch from read_at) * 1000)::float8 as "readAt"`

const fault = (error: SqlError.SqlError) =>
  new NoticeFault({ reason: error.cause instanceof Error ? error.cause.message : error.message })

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const pg = yield* PgClient.PgClient
  const query = <A extends object>(text: string, parameters: ReadonlyArray<unknown>) =>
    Effect.mapError(sql.unsafe<A>(text, parameters), fault)

  /** Members with news, from whichever process; "" stands for everybody, when wake-ups may have been missed. */
  const woken = yield* PubSub.sliding<string>(wakesMax)
  yield* pg.listen(wakeChannel).pipe(
    Stream.runForEach((members) => Effect.forEach(members.split(" "), (member) => PubSub.publish(woken, member))),
    Effect.tapErrorCause(() => PubSub.publish(woken, "")),
    Effect.retry(Schedule.exponential("200 millis").pipe(Schedule.union(Schedule.spaced("10 seconds")))),
    Effect.forkScoped
  )

  const after = (member: string, n: number) =>
    query<Notice>(`select ${columns} from notice where member = $1 and n > $2 order by n limit $3`, [
      member,
      n,
      noticesMax
    ])
  const lastOf = (member: string) =>
    Effect.map(
      query<{ readonly n: number }>("select last_n::float8 as n from inbox where member = $1", [member]),
      (rows) => rows[0]?.n ?? 0
    )

  return Notices.of({
    put: (notices) =>
      notices.length === 0 ? Effect.void : Effect.gen(function*() {
        yield* sql.unsafe(lockSql, [notices.map((one) => one.member)])
        const fresh = yield* sql.unsafe<Pick<NewNotice, "member">>(insertSql, [
          notices.map((one) => one.id),
          notices.map((one) => one.member),
          notices.map((one) => one.title),
          notices.map((one) => one.body)
        ])
        const members = [...new Set(fresh.map((one) => one.member))]
        for (let from = 0; from < members.length; from += wokenMax) {
          yield* sql`select pg_notify(${wakeChannel}, ${members.slice(from, from + wokenMax).join(" ")})`
        }
      }).pipe(sql.withTransaction, Effect.mapError(fault)),

    list: (member, { before, limit, unread }) =>
      query<Notice>(
        `select ${columns} from notice where member = $1 and ($2::float8 is null or n < $2::float8)
           and ($3::boolean is not true or read_at is null) order by n desc limit $4`,
        [member, before ?? null, unread ?? null, Math.min(limit, noticesMax)]
      ),

    unread: (member) =>
      Effect.map(
        query<{ readonly n: number }>(
          "select count(*)::float8 as n from notice where member = $1 and read_at is null",
          [member]
        ),
        (rows) => rows[0]?.n ?? 0
      ),

    markRead: (member, what) =>
      Effect.map(
        query(
          `update notice set read_at = shop_now() where member = $1 and read_at is null
             and ${"upTo" in what ? "n <= $2" : "id = any($2::text[])"} returning 1`,
          [member, "upTo" in what ? what.upTo : what.ids]
        ),
        (rows) => rows.length
      ),

    watch: (member, from) =>
      Stream.unwrapScoped(Effect.gen(function*() {
        // Before the first look: nothing falls between that and the wake-ups.
        const wakes = yield* PubSub.subscribe(woken)
        let seen = from ?? (yield* lastOf(member))
        const waitForNews = wakes.take.pipe(
          Effect.repeat({ until: (one) => one === member || one === "" }),
          Effect.timeoutOption(lookAgain)
        )
        const next: Effect.Effect<ReadonlyArray<Notice>, NoticeFault> = Effect.gen(function*() {
          for (;;) {
            const rows = yield* after(member, seen)
            const last = rows.at(-1)
            if (last !== undefined) {
              seen = last.n
              return rows
            }
            yield* waitForNews
          }
        })
        return Stream.repeatEffect(next).pipe(Stream.flattenIterables)
      }))
  })
})

export const layer: Layer.Layer<Notices, never, SqlClient.SqlClient | PgClient.PgClient> = Layer.scoped(Notices, make)
