/** Orders on their way through checkout, and tickets that were given up without an answer. Never edited after landing. */
export const sql = `
-- One row per order (R14), written by the checkout saga: each step is conditional on the state it builds on, so that of two
-- gateways which drive the same order only one decides. What it does to tickets is done by the Product actors.
create table checkout_order (
  id text primary key,
  -- [{"ticket", "product"}, ...] as ordered: other lines under the same id are refused
  lines jsonb not null,
  state text not null check (state in ('holding', 'buying', 'releasing', 'undoing', 'bought', 'refused')),
  -- per line, in their order: what became of it; null while the lines are being held
  results jsonb,
  -- the replay's instant at which it was placed, or null in real time
  logical_at timestamptz,
  created_at timestamptz not null default shop_now(),
  -- real time of the last step: whoever is left behind is taken up by any gateway
  touched_at timestamptz not null default clock_timestamp(),
  attempts integer not null default 0
) with (fillfactor = 70);
create index checkout_order_open on checkout_order (touched_at)
  where state in ('holding', 'buying', 'releasing', 'undoing');

-- Tickets whose caller has given up and whose Product actor has not confirmed yet that they hold no stock (G6).
create table ticket_given_up (
  ticket uuid primary key,
  product text not null,
  reason text not null,
  since timestamptz not null default clock_timestamp(),
  -- real time of the last try
  touched_at timestamptz not null default clock_timestamp()
);
create index ticket_given_up_open on ticket_given_up (touched_at);
`
