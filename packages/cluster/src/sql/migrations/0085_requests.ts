/** Deliveries asked for by registered systems. Never edited after landing. */
export const sql = `
-- Who may ask, and for what. Written by operators through the API.
create table mail_system (
  id text primary key,
  -- SHA-256 of the key; the key itself is told once and kept nowhere
  key_hash bytea not null unique,
  templates text[] not null,
  class text not null,
  priority integer not null,
  updated_at timestamptz not null default clock_timestamp()
);
-- Contents by language, as a campaign's are. Every version is kept: requests name one.
create table mail_template (
  id text not null,
  version integer not null,
  content jsonb not null,
  at timestamptz not null default clock_timestamp(),
  primary key (id, version)
);
-- send_at, deadline and created_at are the shop's time.
create table mail_request (
  id text primary key,
  system text not null,
  idempotency_key text not null,
  -- of what was asked for under the key
  content_hash text not null,
  mail text not null,
  template text not null,
  template_version integer not null,
  class text not null,
  priority integer not null,
  parameters jsonb not null,
  send_at timestamptz not null,
  deadline timestamptz not null,
  status text not null check (status in ('open', 'accepted', 'paused', 'cancelled')),
  -- rows taken = recipients + repeated + broken
  lines integer not null default 0,
  recipients integer not null default 0,
  repeated integer not null default 0,
  broken integer not null default 0,
  created_at timestamptz not null default shop_now(),
  unique (system, idempotency_key)
);
create index mail_request_recent on mail_request (created_at desc);
-- Rows that are no recipients until they are fixed.
create table mail_request_fault (
  request text not null,
  line integer not null,
  field text not null,
  reason text not null,
  primary key (request, line)
);
-- A delivery of a request: it belongs to no member's books (no caps, no facts); recipient is the address where the request
-- gave one, else the member's is looked up when the list is made.
alter table delivery add column request text;
alter table delivery add column recipient text;
create index delivery_request on delivery (request, status) where request is not null;
-- How fast a provider account works, as its dispatcher has learned; for predictions alone.
create table delivery_speed (
  provider text primary key,
  speed jsonb not null,
  at timestamptz not null default clock_timestamp()
);
`
