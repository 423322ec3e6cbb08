/** Delayed runs, the budget's books, what makes a message stale, and what cancelled campaigns leave. Never edited after landing. */
export const sql = `
-- When a run's members are asked: at once (null), or after its trigger's delay.
alter table run add column begins_at timestamptz;

-- Of spent_today, messages that were provably not sent. grants: what the last page of each run took from the budget of a
-- day, [[run, page, count, day], ...], the one longest unused first.
alter table campaign add column unsent_today bigint not null default 0;
alter table campaign add column grants jsonb not null default '[]';

-- Keys that stand in for configured ones where only a sandbox is written to.
create table sandbox_secret (
  name text primary key,
  value text not null
);

-- Cancelled campaigns whose unsent deliveries are dropped. Written by the run worker.
create table campaign_dropped (
  campaign text primary key,
  at timestamptz not null default clock_timestamp()
);

-- Why what a message says of its product does not hold any more, or null: it is asked again before a message leaves that was
-- held or kept waiting. An order's own messages are sent whatever became of the product.
create function delivery_stale(product text, parameters jsonb, class text) returns text language sql stable as $$
  select case
    when $3 = 'transactional' then null
    when p.withdrawn then 'the product was withdrawn'
    when p.available = 0 and $2 ->> 'event' is distinct from 'SoldOut' then 'the product is sold out'
    when $2 ->> 'event' = 'PriceChanged' and jsonb_typeof($2 -> 'after') = 'number' and p.price > ($2 ->> 'after')::float8
      then 'the price has risen again'
  end
  from catalogue_product p where p.id = $1
$$;
`
