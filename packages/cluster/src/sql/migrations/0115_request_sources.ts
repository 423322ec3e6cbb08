/** Requests that take their recipients from a table or a segment. Never edited after landing. */
export const sql = `
-- Tables and views of which requests may take recipients. Written by operators through the API.
create table recipient_table (
  id text primary key,
  -- its columns and where it is, as registered; a request keeps what it was made with
  definition jsonb not null,
  updated_at timestamptz not null default clock_timestamp()
);
alter table mail_system add column tables text[] not null default '{}';
alter table mail_system add column segments boolean not null default false;

-- source: what it takes its recipients from; source_after: the key of the last row taken, moved in the commit that takes its
-- page, so that whoever goes on repeats no row and misses none.
alter table mail_request add column source jsonb;
alter table mail_request add column source_after text;
alter table mail_request add column source_done boolean not null default false;
-- rows that the source had when the request was made
alter table mail_request add column source_rows integer;
-- why it does not go on, and the real time before which it is not tried again
alter table mail_request add column source_fault text;
alter table mail_request add column source_due timestamptz;
-- when a page was last taken, in real time: whoever has waited longest is next
alter table mail_request add column source_moved timestamptz;
create index mail_request_source on mail_request (source_moved)
  where source is not null and not source_done and status <> 'cancelled';
-- of a row of a table its key
alter table mail_request_fault add column key text;
`
