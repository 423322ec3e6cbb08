/** The statements of the requests' store. Instants cross as ms since the epoch. */

const ms = (expression: string) => `(extract(epoch from ${expression}) * 1000)::float8`
const instant = (parameter: string) => `to_timestamp(${parameter}::float8 / 1000)`

const view = (q: string) =>
  `${q}.id, ${q}.system, ${q}.mail, ${q}.template, ${q}.class, ${q}.priority, ${q}.status,
  ${ms(`${q}.send_at`)} as "sendAt", ${ms(`${q}.deadline`)} as deadline, ${ms(`${q}.created_at`)} as "createdAt",
  ${q}.lines, ${q}.recipients, ${q}.repeated, ${q}.broken,
  case when ${q}.source is not null then jsonb_build_object('kind', lower(${q}.source ->> '_tag'),
    'table', ${q}.source ->> 'table', 'rows', ${q}.source_rows, 'done', ${q}.source_done, 'fault', ${q}.source_fault) end
    as source`

export const saveSystem = `insert into mail_system (id, key_hash, templates, class, priority, tables, segments)
values ($1, $2, $3::text[], $4, $5, $6::text[], $7)
on conflict (id) do update set key_hash = excluded.key_hash, templates = excluded.templates, class = excluded.class,
  priority = excluded.priority, tables = excluded.tables, segments = excluded.segments, updated_at = clock_timestamp()`

export const systemOf = `select id, templates, class, priority, tables, segments from mail_system where key_hash = $1`

export const saveTemplate = `with newest as (
  select version, content from mail_template where id = $1 order by version desc limit 1
),
made as (
  insert into mail_template (id, version, content)
  select $1, coalesce((select version from newest), 0) + 1, $2::jsonb
  where not exists (select from newest where content = $2::jsonb)
  returning version
)
select coalesce((select version from made), (select version from newest)) as version`

export const templateVersion = `select max(version) as version from mail_template where id = $1`

const byKeyWhere = `where q.system = $2 and q.idempotency_key = $3`
export const open = `with made as (
  insert into mail_request (id, system, idempotency_key, content_hash, mail, template, template_version, class, priority,
    parameters, send_at, deadline, status, source, source_rows, links)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, ${instant("$11")}, ${instant("$12")}, 'open', $13::jsonb,
    $14::integer, $8 = 'batch' or exists (select from mail_template t where t.id = $6 and t.version = $7
      and t.content::text like '%unsubscribe_url%'))
  on conflict (system, idempotency_key) do nothing
  returning *
)
select ${view("q")}, q.content_hash as "contentHash" from made q
union all
select ${view("q")}, q.content_hash as "contentHash" from mail_request q ${byKeyWhere}`

export const byKey = `select ${view("q")}, q.content_hash as "contentHash" from mail_request q
where q.system = $1 and q.idempotency_key = $2`

export const find = `select ${view("q")} from mail_request q where q.id = $1`

export const list = `select ${view("q")} from mail_request q
where ($1::text is null or q.system = $1) and ($2::text is null or q.status = $2)
order by q.created_at desc, q.id limit $3`

/**
 * $1 request, $2 its campaign, $3 and $4 the last and the first line of the call; $5 to $8 lines, members, addresses and
 * parameters of the rows that are recipients; $9 to $12 lines, fields, reasons and keys of those that are none. Calls for one
 * request take turns by its row. A delivery's id follows from mail and address: so the store itself keeps a mail from being
 * there twice for one address (G10), whichever system asks. `may`: what must hold of the request; `moves`: what else changes.
 */
const taking = (may: string, moves = "") =>
  `with q as (
  select * from mail_request where id = $1 and status <> 'cancelled' and ${may} for update
),
known as (select line from mail_request_fault where request = $1),
good as (
  select g.* from unnest($5::integer[], $6::text[], $7::text[], $8::text[]) as g(line, member, address, parameters), q
  where g.line > q.lines or g.line in (select line from known)
),
bad as (
  select b.* from unnest($9::integer[], $10::text[], $11::text[], $12::text[]) as b(line, field, reason, key), q
  where b.line > q.lines or b.line in (select line from known)
),
made as (
  insert into delivery (id, run, campaign, version, member, channel, class, priority, parameters, status, not_before,
    deadline, held, created_at, request, recipient)
  select 'q:' || q.mail || ':' || encode(sha256(convert_to(
      case when g.address is null then 'm:' || g.member else 'a:' || lower(g.address) end, 'UTF8')), 'hex'),
    'q:' || q.mail, $2, q.template_version, g.member, 'mail', q.class, q.priority, g.parameters::jsonb, 'due', q.send_at,
    q.deadline, false, shop_now(), q.id, g.address
  from good g, q
  on conflict (id) do nothing
  returning id
),
fixed as (
  delete from mail_request_fault f using good g where f.request = $1 and f.line = g.line returning f.line
),
broken as (
  insert into mail_request_fault as f (request, line, field, reason, key)
  select $1, b.line, b.field, b.reason, b.key from bad b
  on conflict (request, line) do update set field = excluded.field, reason = excluded.reason
  returning (xmax = 0) as is_new
),
counted as (
  select (select count(*) from made)::integer as added, (select count(*) from good)::integer as taken,
    (select count(*) from fixed)::integer as fixed, (select count(*) from broken where is_new)::integer as broken
)
update mail_request r set lines = greatest(r.lines, $3), recipients = r.recipients + c.added,
  repeated = r.repeated + c.taken - c.added, broken = r.broken + c.broken - c.fixed${moves}
from counted c, q where r.id = q.id
returning r.lines, c.added, c.taken - c.added as repeated`

/** Rows of a call. Of a request with a source only those that were broken. */
export const add = taking("$4 <= lines + 1 and (source is null or $3 <= lines)")

/**
 * A page of the source: $13 the key of its last row, $14 whether it was the last page. Only where nobody has taken it
 * meanwhile, as the lines tell: they and the cursor move in the commit that takes the rows.
 */
export const takePage = taking(
  "source is not null and not source_done and lines = $4 - 1",
  `,
  source_after = $13::text, source_done = $14::boolean, source_fault = null, source_due = null,
  source_moved = clock_timestamp()`
)

const source = `q.id, q.source, q.source_after as "after", q.lines, ${ms("q.created_at")} as "createdAt",
  s.id is not null and (case q.source ->> '_tag' when 'Table' then q.source ->> 'table' = any(s.tables) else s.segments end)
    as allowed`

/** Requests that have rows left to take and are not resting: realtime first, then whoever has waited longest. */
export const unfinished = `select ${source} from mail_request q left join mail_system s on s.id = q.system
where q.source is not null and not q.source_done and q.status <> 'cancelled'
  and (q.source_due is null or q.source_due <= clock_timestamp())
order by q.class = 'batch', q.source_moved nulls first, q.id limit $1`

export const sourceOf = `select ${source} from mail_request q left join mail_system s on s.id = q.system
where q.id = $1 and q.source is not null`

/** $1 request, $2 the lines that were taken when reading failed, $3 why, $4 ms until it is tried again. */
export const restSource = `update mail_request set source_fault = $3,
  source_due = clock_timestamp() + $4::float8 * interval '1 millisecond'
where id = $1 and not source_done and lines = $2`

export const saveTable = `insert into recipient_table (id, definition) values ($1, $2::jsonb)
on conflict (id) do update set definition = excluded.definition, updated_at = clock_timestamp()`

export const tableOf = `select definition from recipient_table where id = $1`

export const faults = `select line, field, reason, key from mail_request_fault where request = $1 and line > $2
order by line limit $3`

export const move = `with moved as (
  update mail_request set status = $3 where id = $1 and status = any($2::text[]) returning status
)
select status from moved union all
select status from mail_request where id = $1 and not exists (select from moved)`

/** $1 request, $2 the new deadline. The address is free again, so that whoever else asked meanwhile is not sent it too. */
export const retry = `with again as (
  update delivery d set status = 'due', list_id = null, address = null, result = null, reason = null, sent_at = null,
    not_before = shop_now(), deadline = ${instant("$2")}
  from mail_request q
  where q.id = $1 and q.status <> 'cancelled' and d.request = q.id and d.status = 'failed' and ${
  instant("$2")
} > shop_now()
  returning d.id
),
later as (
  update mail_request set deadline = greatest(deadline, ${instant("$2")}) where id = $1 and exists (select from again)
)
select count(*)::integer as n from again`

export const tally = `select status, count(*)::integer as n from delivery where request = $1 group by status`

/**
 * $1 request, $2 class, $3 deadline, $4 bound. Realtime goes before batch; within a class whoever is due earlier.
 */
export const ahead = `select
  (select count(*) from delivery where request = $1 and status in ('due', 'listed'))::integer as own,
  (select count(*) from (
    select from delivery d where d.status = 'due' and d.channel = 'mail' and d.request is distinct from $1
      and (d.class <> 'batch' or $2 = 'batch' and d.deadline <= ${instant("$3")}) limit $4) x)::integer as others,
  ${ms("shop_now()")} as now`
