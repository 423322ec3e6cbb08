/** Bulk imports of events. Never edited after landing. */
export const sql = `
-- How far an import has come; moved in the commit that appends its events, so that whoever resumes it skips and repeats none.
create table event_import (
  id text primary key,
  -- events taken, from the first one on; the next has the number after it
  lines bigint not null default 0,
  appended bigint not null default 0,
  repeated bigint not null default 0,
  differing bigint not null default 0,
  finished boolean not null default false,
  moved_at timestamptz not null default clock_timestamp()
) with (fillfactor = 70);
create index event_import_moved on event_import using brin (moved_at);
`
