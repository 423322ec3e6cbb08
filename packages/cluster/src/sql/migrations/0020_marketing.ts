/** Events, the catalogue, campaigns and their runs, and what segments are taken from. Never edited after landing. */
export const sql = `
-- What happened in the shop. Offsets are assigned under the partition's row lock, so that they are visible in order (R13).
create table event_log (
  partition integer not null,
  "offset" bigint not null,
  source text not null,
  event_id text not null,
  -- what it is about, 'p:PRODUCT' or 'm:MEMBER': events of one key keep their order
  key text not null,
  type text not null,
  at timestamptz not null,
  happening jsonb not null,
  -- version of the campaign catalogue when it was appended: its judge waits until it has that one (R16)
  catalogue_version bigint not null,
  appended_at timestamptz not null default clock_timestamp(),
  primary key (partition, "offset")
);
-- Pruned by age.
create index event_log_appended on event_log using brin (appended_at);

create table event_partition (
  partition integer primary key,
  next_offset bigint not null
) with (fillfactor = 50);
insert into event_partition select n, 0 from generate_series(0, 7) n;

-- Events seen from outside, by source and id; dropped when older than repeats are recognised.
create table event_seen (
  source text not null,
  event_id text not null,
  hash text not null,
  at timestamptz not null,
  primary key (source, event_id)
);
create index event_seen_at on event_seen using brin (at);

-- How far each consumer has come: the last offset whose effects are committed, with them (exactly once).
create table consumer_offset (
  consumer text not null,
  partition integer not null,
  "offset" bigint not null,
  primary key (consumer, partition)
) with (fillfactor = 50);
insert into consumer_offset select c, n, -1 from unnest(array['aggregate', 'judge']) c, generate_series(0, 7) n;

-- Events that a consumer could not digest; written in the commit that passes them by (R17).
create table dead_letter (
  consumer text not null,
  partition integer not null,
  "offset" bigint not null,
  happening jsonb,
  reason text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (consumer, partition, "offset")
);

-- Types of custom events. schema: {"fields": {"stars": "number", "text": "string", "seen": "boolean"}}.
create table custom_event_type (
  type text primary key,
  schema jsonb not null,
  registered_at timestamptz not null default clock_timestamp()
);

-- Products as rules, segments and templates see them. Written by the consumer of the event log that keeps it.
create table catalogue_product (
  id text primary key,
  name text,
  price double precision,
  category text,
  brand text,
  attributes jsonb not null default '{}',
  -- pieces that can still be allocated; null when not known
  available integer,
  withdrawn boolean not null default false
) with (fillfactor = 70);
create index catalogue_product_category on catalogue_product (category, id);
create index catalogue_product_brand on catalogue_product (brand, id);

-- A campaign: its status and what decides when it fires. Written by the Campaign actor alone.
create table campaign (
  id text primary key, version bigint not null, writer text not null, cell text not null, epoch integer not null,
  clock timestamptz not null, due_at timestamptz,
  status text not null check (status in ('draft', 'active', 'paused', 'cancelled')),
  current_version integer not null,
  time_zone text not null,
  -- highest offset of the event log that was decided, by partition: {"3": 1024}
  marks jsonb not null,
  last_run_at timestamptz,
  -- the shop's day (days of the local calendar since 1970) that the next two count for
  day integer not null,
  runs_today integer not null,
  spent_today bigint not null,
  runs bigint not null,
  -- firings that started no run, by reason
  suppressed jsonb not null,
  next_cycle timestamptz,
  -- version of the catalogue that brought in this status and version; kept by the trigger below
  catalogue_version bigint not null default 0
) with (fillfactor = 70);
create index campaign_due on campaign (cell, due_at) where due_at is not null;
create index campaign_catalogue on campaign (catalogue_version);

-- Every version of a campaign's definition. 'current' is the one the actor keeps in memory. Written by the Campaign actor alone.
create table campaign_version (
  campaign text not null,
  version integer not null,
  definition jsonb not null,
  author text not null,
  at timestamptz not null,
  state text not null check (state in ('current', 'past')),
  -- the version that this one repeats
  rolled_back_to integer,
  primary key (campaign, version)
);

-- When a campaign with a cooldown per product last fired for a product. Written by the Campaign actor alone.
create table campaign_cooldown (
  campaign text not null,
  product text not null,
  last_run_at timestamptz not null,
  primary key (campaign, product)
);

-- A firing of a campaign. The Campaign actor inserts it with the firing; from then on the run's worker alone moves status,
-- cursor and counts, under owner and owner_version (R17).
create table run (
  id text primary key,
  campaign text not null,
  version integer not null,
  cause jsonb not null,
  product text,
  member text,
  parameters jsonb not null,
  class text not null,
  priority integer not null,
  started_at timestamptz not null,
  deadline timestamptz not null,
  status text not null default 'running' check (status in ('running', 'paused', 'finished', 'expired', 'cancelled')),
  -- id of the last member considered; null before the first page
  cursor text,
  considered bigint not null default 0,
  accepted bigint not null default 0,
  -- by reason
  rejected jsonb not null default '{}',
  owner text not null default '',
  owner_version bigint not null default 0,
  updated_at timestamptz,
  finished_at timestamptz
) with (fillfactor = 70);
create index run_open on run (class, priority desc, started_at) where status in ('running', 'paused');
create index run_campaign on run (campaign, started_at desc);

-- What is effective changes by versions (R16): every change of a campaign's status or definition, and of the custom event
-- types, is one. The row is locked until commit, so that versions become visible in their order.
create table catalogue (
  id boolean primary key default true check (id),
  version bigint not null
) with (fillfactor = 50);
insert into catalogue values (true, 1);

create function catalogue_next() returns bigint language plpgsql as $$
declare
  newest bigint;
begin
  update catalogue set version = version + 1 returning version into newest;
  perform pg_notify('hikyaku_catalogue', newest::text);
  return newest;
end $$;

create function campaign_changed() returns trigger language plpgsql as $$
begin
  new.catalogue_version := catalogue_next();
  return new;
end $$;
create trigger campaign_inserted before insert on campaign for each row execute function campaign_changed();
create trigger campaign_updated before update on campaign for each row
  when (old.status is distinct from new.status or old.current_version is distinct from new.current_version)
  execute function campaign_changed();

create function custom_event_type_changed() returns trigger language plpgsql as $$
begin
  perform catalogue_next();
  return null;
end $$;
create trigger custom_event_type_changed after insert or update or delete on custom_event_type
  for each statement execute function custom_event_type_changed();

-- What members did, per day of the shop's calendar. Written by the aggregation, with its offset. product is '' for what is
-- about none. category and brand are the product's at that time.
create table member_activity (
  member text not null,
  type text not null,
  product text not null default '',
  category text,
  brand text,
  day date not null,
  count integer not null check (count > 0),
  last_at timestamptz not null,
  primary key (member, type, product, day)
) with (fillfactor = 80);
-- Segments begin with one of these: who did it with the product, category or brand, in the order of members. last_at is left
-- out, so that counting on within a day touches no index.
create index member_activity_product on member_activity (type, product, member, day);
create index member_activity_category on member_activity (type, category, member, day);
create index member_activity_brand on member_activity (type, brand, member, day);

create table favourite (
  member text not null,
  product text not null,
  category text,
  brand text,
  at timestamptz not null,
  primary key (member, product)
);
create index favourite_product on favourite (product, member);
create index favourite_category on favourite (category, member);
create index favourite_brand on favourite (brand, member);

-- Lists of members, imported or kept by hand. 'debug' holds the debug members.
create table list_member (
  list text not null,
  member text not null,
  primary key (list, member)
);
create index list_member_member on list_member (member, list);
`
