/** Provider accounts, their slots, recipient lists and what goes back to the members. Never edited after landing. */
export const sql = `
-- A provider account: its limits, which dispatcher owns it, what paces it. Written by the Provider actor alone.
create table provider (
  id text primary key, version bigint not null, writer text not null, cell text not null, epoch integer not null,
  clock timestamptz not null, due_at timestamptz,
  limits jsonb,
  -- incarnation of the dispatcher that may acquire slots
  owner text not null,
  takeovers integer not null,
  -- real time, on a replay too: the latest that was heard of, and when the owner was last heard of
  wall timestamptz not null,
  seen_at timestamptz not null,
  pace jsonb not null
) with (fillfactor = 70);
create index provider_due on provider (cell, due_at) where due_at is not null;

-- Requests that may be under way at the provider (R20), in real time. Written by the Provider actor alone.
create table provider_slot (
  provider text not null,
  id text not null,
  operation text not null,
  class text not null,
  owner text not null,
  granted_at timestamptz not null,
  not_after timestamptz not null,
  free_at timestamptz not null,
  primary key (provider, id)
);

-- Recipient lists. Written by the dispatcher that owns them, each step conditional on status and attempt; 'unknown' is
-- reconciled with the provider's history before anything is repeated (R21). due_since, deadline, created_at and sent_at are
-- the shop's time; updated_at and retry_at are real.
create table delivery_list (
  id text primary key,
  provider text not null,
  -- incarnation of the dispatcher, and the number of the takeover that made it the owner: the higher one may claim
  owner text not null,
  epoch integer not null,
  campaign text not null,
  version bigint not null,
  class text not null,
  channel text not null,
  priority integer not null,
  status text not null check (status in ('queued', 'uploading', 'uploaded', 'sending', 'sent', 'completed', 'failed',
    'expired', 'unknown')),
  -- of an unknown list: whether the upload or the send is in doubt
  doubtful text check (doubtful in ('upload', 'send')),
  upload_id text,
  send_id text,
  recipients integer not null,
  attempt integer not null default 0,
  -- times its status was asked since it was sent
  polls integer not null default 0,
  due_since timestamptz not null,
  deadline timestamptz not null,
  created_at timestamptz not null default shop_now(),
  sent_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  -- nothing is asked of the provider for it before
  retry_at timestamptz,
  reason text
) with (fillfactor = 70);
create index delivery_list_open on delivery_list (provider, class, deadline)
  where status not in ('completed', 'failed', 'expired');

-- The address a delivery was listed for: a run reaches an address once, whoever shares it (G10).
alter table delivery add column address text;
create unique index delivery_once on delivery (run, lower(address)) where address is not null;
-- Finds the groups that have something due without reading what is due (a skip scan), and a list's worth of one group.
create index delivery_due on delivery (class, campaign, version, channel, not_before, id)
  where status = 'due' and not held;
-- Held ones are judged again by their member when their time has come, and only then can be listed.
create index delivery_held on delivery (not_before) where status = 'due' and held;
create index delivery_deadline on delivery (deadline) where status = 'due';
create index delivery_listed on delivery (list_id) where list_id is not null;

-- Deliveries that were sent, for the Member actor to narrow what they occupy (R18). Written in the commit that makes them so.
create table delivery_sent (
  delivery text primary key,
  member text not null,
  -- the shop's time
  at timestamptz not null,
  -- real time at which the Member actor had applied it
  relayed_at timestamptz,
  relay_attempts integer not null default 0
);
create index delivery_sent_open on delivery_sent (relay_attempts, at) where relayed_at is null;
alter table delivery_refund add column if not exists relayed_at timestamptz;
alter table delivery_refund add column if not exists relay_attempts integer not null default 0;
create index delivery_refund_open on delivery_refund (relay_attempts, at) where relayed_at is null;

-- What a replay has to wait for before it moves the clock on: deliveries that could go out or are on their way, and
-- outcomes of which the members do not know yet. Stops counting at the bound given.
create function delivery_backlog(bound integer) returns bigint language sql stable as $$
  select (select count(*) from (select from delivery where status = 'due' and not_before <= shop_now() limit bound) a)
    + (select count(*) from (select from delivery_list where status not in ('completed', 'failed', 'expired')
        limit bound) b)
    + (select count(*) from (select from delivery_refund where relayed_at is null limit bound) c)
    + (select count(*) from (select from delivery_sent where relayed_at is null limit bound) d)
$$;
`
