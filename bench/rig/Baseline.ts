/**
 * What a good team would write without Hikyaku, on the same tables with the same indexes, writing the same rows: the
 * product's books, an allocation, an outcome for every add (refusals included, so that a repeat gets the first answer), and
 * the shop event in the outbox. Two of them: a stored procedure called from a Node pool of 32, and one Node process that
 * batches by hand, which is the floor: nothing durable and correct can be much faster on this schema.
 */
import { fingerprint } from "@hikyaku/cluster/actor/Wire"
import pg from "pg"
import type { Add, Line } from "./Load.ts"
import type { Database } from "./Postgres.ts"

export const pooled = "pg-node-pool32"
export const batched = "pg-node-batched"

const procedure = `
create or replace function bench_add(t uuid, p text, m text, h text) returns text language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
  at_ms bigint := extract(epoch from at) * 1000;
  first json;
  s bigint;
  v bigint;
  life integer;
begin
  select reply into first from outcome where command = t and kind = 'Product' and actor = p;
  if found then return first->>'_tag'; end if;
  update product set version = version + 1, clock = at, due_at = coalesce(due_at, at + cart_ms * interval '1 ms'),
    available = available - 1, allocated = allocated + 1, sequence = sequence + 1
  where id = p and available >= 1 returning sequence, version, cart_ms into s, v, life;
  if not found then
    insert into outcome (kind, actor, command, hash, reply) values ('Product', p, t, h, '{"_tag":"SoldOut"}');
    return 'SoldOut';
  end if;
  insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
  values (p, t, m, 1, s, 'allocated', at, at + life * interval '1 ms');
  insert into outcome (kind, actor, command, hash, reply)
  values ('Product', p, t, h, json_build_object('_tag', 'Allocated', 'sequence', s, 'expiresAt', at_ms + life));
  insert into outbox (kind, actor, version, happenings) values ('Product', p, v, jsonb_build_array(jsonb_build_object(
    'at', at_ms, 'happening', jsonb_build_object(
      '_tag', 'CartAdded', 'product', p, 'member', m, 'ticket', t, 'quantity', 1))));
  return 'Allocated';
end $$`

/** One statement for a batch over any number of products; the order within a product is the batch's. */
const statement = `
with a as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality as a(t, p, m, h, o)
),
known as materialized (
  select a.t, x.reply->>'_tag' as tag from a join outcome x on x.command = a.t and x.kind = 'Product' and x.actor = a.p
),
l as materialized (
  select id, version, available, sequence, cart_ms, clock_timestamp() as at from product
  where id in (select p from a) order by id for update
),
d as materialized (
  select a.*, l.version + 1 as version, l.at, l.at + l.cart_ms * interval '1 ms' as until,
    (extract(epoch from l.at) * 1000)::bigint as at_ms, l.cart_ms, l.available,
    row_number() over (partition by a.p order by a.o) as n, l.sequence
  from a join l on l.id = a.p where a.t not in (select t from known)
),
allocated as (
  insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
  select p, t, m, 1, sequence + n, 'allocated', at, until from d where n <= available
),
outcomes as (
  insert into outcome (kind, actor, command, hash, reply)
  select 'Product', p, t, h, case when n <= available
    then json_build_object('_tag', 'Allocated', 'sequence', sequence + n, 'expiresAt', at_ms + cart_ms)
    else '{"_tag":"SoldOut"}' end from d
),
events as (
  insert into outbox (kind, actor, version, happenings)
  select 'Product', p, version, jsonb_agg(jsonb_build_object('at', at_ms, 'happening', jsonb_build_object(
    '_tag', 'CartAdded', 'product', p, 'member', m, 'ticket', t, 'quantity', 1)) order by n)
  from d where n <= available group by p, version
),
books as (
  update product set version = product.version + 1, clock = c.at, due_at = coalesce(due_at, c.until),
    available = product.available - c.n, allocated = product.allocated + c.n, sequence = product.sequence + c.n
  from (select p, min(at) as at, min(until) as until, count(*) as n from d where n <= available group by p) c
  where product.id = c.p
)
select t::text as t, case when n <= available then 'Allocated' else 'SoldOut' end as tag from d
union all select t::text, tag from known`

export interface Baseline {
  readonly add: Add
  readonly stop: () => Promise<void>
}

export type Start = (database: Database) => Promise<Baseline>

/**
 * Of a workload's adds, how many a baseline is given. The pool commits one by one, at a rate that has no ramp: a quarter of
 * them tells it as well, and keeps a run short where the disk is slow. What batches gets all of them.
 */
export const addsFor = (peer: string, n: number): number => peer === pooled ? Math.floor(n / 4) : n

/**
 * Adds that warm a baseline up. Each session of the pool has then called the procedure thirty times, six times as often as
 * it takes to have its plans; what batches needs more, since it makes a few statements of them.
 */
export const warmUp = (peer: string, n: number): number => Math.min(n, peer === pooled ? 1_000 : 5_000)

/** Content as the outcome keeps it, so that the same id with other content can be told. */
const hashOf = ({ member, product, ticket }: Line): string => fingerprint({ ticket, product, member, quantity: 1 })

/** A database that is dropped ends whatever session is still on its way out. */
const connect = (database: Database, max: number): pg.Pool =>
  new pg.Pool({ connectionString: database.url, max }).on("error", () => {})

const failed = (cause: unknown): string => `Failed: ${cause instanceof Error ? cause.message : String(cause)}`

/** The stored procedure from a Node pool of 32: prepared, a round trip and a commit per add. */
export const startPooled: Start = async (database) => {
  const pool = connect(database, 32)
  await pool.query(procedure)
  return {
    add: (line, done) => {
      pool.query<{ readonly r: string }>({
        name: "add",
        text: "select bench_add($1, $2, $3, $4) as r",
        values: [line.ticket, line.product, line.member, hashOf(line)]
      }).then(({ rows }) => done(rows[0]!.r), (cause) => done(failed(cause)))
    },
    stop: () => pool.end()
  }
}

/** Adds in one statement; more wait for the next. */
const batchMax = 512

/** One process that gathers what waits into one statement, which is one commit; the next gathers meanwhile. */
export const startBatched: Start = async (database) => {
  const pool = connect(database, 1)
  const queue: Array<readonly [Line, (outcome: string) => void]> = []
  let busy = false
  const flush = async () => {
    if (busy) return
    busy = true
    while (queue.length > 0) {
      const batch = queue.splice(0, batchMax)
      const lines = batch.map(([line]) => line)
      try {
        const { rows } = await pool.query<{ readonly t: string; readonly tag: string }>({
          name: "batch",
          text: statement,
          values: [
            lines.map((line) => line.ticket),
            lines.map((line) => line.product),
            lines.map((line) => line.member),
            lines.map(hashOf)
          ]
        })
        const outcomes = new Map(rows.map((row) => [row.t, row.tag]))
        for (const [line, done] of batch) done(outcomes.get(line.ticket) ?? "Failed: no answer")
      } catch (cause) {
        for (const [, done] of batch) done(failed(cause))
      }
    }
    busy = false
  }
  return {
    add: (line, done) => {
      queue.push([line, done])
      queueMicrotask(flush)
    },
    stop: () => pool.end()
  }
}
