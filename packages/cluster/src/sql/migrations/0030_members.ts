/** Members, their deliveries, and the ledger of decisions about them. Never edited after landing. */
export const sql = `
-- A member: profile, consents, what occupies their frequency caps. Written by the Member actor alone.
create table member (
  id text primary key, version bigint not null, writer text not null, cell text not null, epoch integer not null,
  clock timestamptz not null, due_at timestamptz,
  -- false: something is known of them (a consent), but they never joined
  joined boolean not null,
  withdrawn boolean not null,
  language text,
  time_zone text,
  address text,
  attributes jsonb not null,
  -- {"mail": true, ...}: a channel that is missing was never consented to
  consents jsonb not null,
  -- {"mail": "bounced", ...}: nothing goes out on these channels
  suppressions jsonb not null,
  -- Deliveries that occupy cap windows, and for a while those that were given back; one array each, since one row is
  -- loaded and written per member and decision: [run, campaign, product, channel, class, priority, from, length, phase,
  -- heard] with times in ms and places in the lists of MemberActor.ts for channel, class and phase.
  holds jsonb not null,
  -- {"responses": {"mail": [sent, responded]}, "hours": [24 counts] or null, "objections": n}
  stats jsonb not null,
  -- rows of the decision ledger so far
  decisions integer not null
) with (fillfactor = 70);
create index member_due on member (cell, due_at) where due_at is not null;

-- One message to one member: run and member are its key, without the channel (R18). The Member actor inserts it, due, in the
-- commit that consumes the caps; from then on the dispatcher alone moves status, list_id, sent_at, result and reason.
create table delivery (
  id text primary key,
  run text not null,
  campaign text not null,
  version integer not null,
  member text not null,
  channel text not null,
  class text not null,
  priority integer not null,
  product text,
  parameters jsonb,
  status text not null default 'due'
    check (status in ('due', 'listed', 'sent', 'failed', 'expired', 'suppressed', 'unknown')),
  not_before timestamptz not null,
  deadline timestamptz not null,
  -- its time had not come when it was accepted: consent and competition are judged again when it has
  held boolean not null,
  -- why this channel and this hour, where they are not the campaign's first
  why text,
  created_at timestamptz not null,
  list_id text,
  sent_at timestamptz,
  result text,
  reason text,
  check (deadline >= not_before)
) with (fillfactor = 80);
create index delivery_run on delivery (run);
create index delivery_member on delivery (member, sent_at);

-- Deliveries that are provably not sent: written by the dispatcher in the commit that says so (R19), relayed to the Member
-- actor, which gives the cap back once.
create table delivery_refund (
  delivery text primary key,
  member text not null,
  at timestamptz not null
);

-- Why members did not get a message. The default of a run is "accepted", of which the delivery is the record (with its
-- why): only what differs is a row. Numbered per member; the last one about a run is the one that stands.
create table decision_ledger (
  member text not null,
  n integer not null,
  run text not null,
  campaign text not null,
  -- member, filter, channel, time, cooldown, volume, cap, holdout, release
  stage text not null,
  decision text not null check (decision in ('rejected', 'displaced', 'dropped')),
  reason text not null,
  detail jsonb,
  at timestamptz not null,
  primary key (member, n)
);
create index decision_ledger_run on decision_ledger (run, reason);
-- Pruned by age, in the order of insertion as good as always.
create index decision_ledger_at on decision_ledger using brin (at);
`
