/** What the actor runtime itself stores: outcomes, outbox, placement, the clock of a replay. Never edited after landing. */
export const sql = `
-- Every final outcome, refusals included (R3). Partitioned by the time inside the UUIDv7, so that retention drops whole
-- partitions and the key is filled at its right end.
create table outcome (
  kind text not null,
  actor text not null,
  command uuid not null,
  hash text not null,
  reply json not null,
  primary key (command, kind, actor)
) partition by range (command);

-- Creates the daily partitions that commands of the given window can fall into and, if asked to, drops those before it.
create function outcome_partitions(from_ms bigint, to_ms bigint, drop_older boolean) returns void language plpgsql as $$
declare
  day bigint := 86400000;
  d bigint;
  part record;
  lower_bound text;
  upper_bound text;
begin
  -- One at a time. A table's lock, not an advisory one: only after the former does a session see what others have created
  -- while it waited.
  lock table outcome in share update exclusive mode;
  for d in select generate_series(from_ms / day, to_ms / day) loop
    lower_bound := lpad(to_hex(d * day), 12, '0');
    upper_bound := lpad(to_hex((d + 1) * day), 12, '0');
    if to_regclass('outcome_' || d) is null then
      begin
        execute format('create table %I partition of outcome for values from (%L) to (%L)', 'outcome_' || d,
          rpad(lower_bound, 32, '0')::uuid, rpad(upper_bound, 32, '0')::uuid);
      exception when invalid_object_definition then
        -- A wider partition holds the day already.
        null;
      end;
    end if;
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where drop_older and i.inhparent = 'outcome'::regclass
      -- The planner may look at other relations' names first: only numbers are cast.
      and case when c.relname ~ '^outcome_[0-9]+$' then substr(c.relname, 9)::bigint < from_ms / day else false end
  loop
    execute format('drop table %I', part.relname);
  end loop;
end $$;

-- One partition for all commands of the window's days: each partition costs every look-up a little, and a replay of months
-- needs none that go day by day. Named by its last day, so that retention drops it when all of it is too old.
create function outcome_span(from_ms bigint, to_ms bigint) returns void language plpgsql as $$
declare
  day bigint := 86400000;
begin
  lock table outcome in share update exclusive mode;
  execute format('create table %I partition of outcome for values from (%L) to (%L)', 'outcome_' || to_ms / day,
    rpad(lpad(to_hex(from_ms / day * day), 12, '0'), 32, '0')::uuid,
    rpad(lpad(to_hex((to_ms / day + 1) * day), 12, '0'), 32, '0')::uuid);
exception when invalid_object_definition or duplicate_table then
  perform outcome_partitions(from_ms, to_ms, false);
end $$;

-- Shop events waiting for the event log: written in the commit of the actor that states them (R13).
create table outbox (
  kind text not null,
  actor text not null,
  version bigint not null,
  -- The order of relaying: an actor's commits follow one another, so its rows are in order; gaps mean nothing.
  seq bigint generated always as identity,
  -- [{"at": ms, "partition": n, "key": ..., "type": ..., "happening": {...}}, ...]: their place in the array is n of the key (actor, version, n)
  happenings jsonb not null,
  primary key (kind, actor, version)
);
create index outbox_seq on outbox (seq);

-- How many cells a kind has (R11): checked at start, since an actor's cell follows from its id.
create table cell_generation (
  kind text not null,
  generation integer not null,
  cells integer not null check (cells > 0),
  primary key (kind, generation)
);

-- Actors that do not live in the cell their id says (R8), e.g. hot products; the actor's own row is what counts.
create table placement (
  kind text not null,
  actor text not null,
  cell text not null,
  epoch integer not null,
  primary key (kind, actor)
);

-- Who found which runner unreachable, and when (R22): one prober alone may be the one that is cut off.
create table runner_suspicion (
  address text not null,
  prober text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (address, prober)
);

-- Members that probe, gateways included; a runner's name is its address.
create table cluster_member (
  name text primary key,
  seen_at timestamptz not null default clock_timestamp()
);

-- The shop's clock: one row. 'real' is the database's; 'logical' is moved by the replay that owns it.
create table shop_clock (
  id boolean primary key default true check (id),
  mode text not null check (mode in ('real', 'logical')),
  instant timestamptz
);
insert into shop_clock values (true, 'real', null);
create function shop_now() returns timestamptz language sql stable as $$
  select case when mode = 'logical' then instant else clock_timestamp() end from shop_clock
$$;
`
