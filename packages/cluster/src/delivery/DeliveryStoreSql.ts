/**
 * The statements of the dispatcher's store. Instants cross as ms since the epoch. Where a statement ends deliveries it
 * writes their refunds and sent facts as well: the terminal status and what follows from it are one commit (R19).
 */

import { capEffect, deliveryStatuses, statusesBefore } from "@hikyaku/domain/delivery/Delivery"
import { isClosed, listStatuses } from "@hikyaku/domain/delivery/List"
import type { RequestStatus } from "@hikyaku/domain/delivery/Request"

const quoted = (names: ReadonlyArray<string>) => names.map((name) => `'${name}'`).join(", ")
/** Whether a list is of a request that has one of these statuses. */
const ofRequest = (list: string, ...statuses: ReadonlyArray<RequestStatus>) =>
  `(${list}.campaign like '@%' and exists (select from mail_request q where q.id = substr(${list}.campaign, 2)
    and q.status in (${quoted(statuses)})))`
const ms = (expression: string) => `(extract(epoch from ${expression}) * 1000)::float8`
const after = (parameter: string) => `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`
const open = `status not in (${quoted(listStatuses.filter(isClosed))})`
/** Refunds what a CTE `gone(id, member, request, status)` says was provably not sent; a request's is in no member's books. */
const refund = `refund as (
  insert into delivery_refund (delivery, member, at)
  select id, member, shop_now() from gone
  where request is null and status in (${quoted(deliveryStatuses.filter((status) => capEffect(status) === "refund"))})
  on conflict (delivery) do nothing
)`

/** ms until the first open list's step is no longer put off. */
const wait = `select (extract(epoch from min(retry_at) - clock_timestamp()) * 1000)::float8 from delivery_list
  where provider = $1 and epoch = $2 and status in ('queued', 'uploaded', 'sent', 'unknown')
    and retry_at > clock_timestamp()`

/**
 * The distinct groups of what is due or will be, by jumping from one to the next in the index: the cost is that of the
 * groups, not of their deliveries.
 */
const steps = `at as (select shop_now() as now),
step as (
  (select class, campaign, version, channel from delivery where status = 'due' and not held
    order by class, campaign, version, channel limit 1)
  union all
  select n.* from step s cross join lateral (
    select class, campaign, version, channel from delivery
    where status = 'due' and not held and (class, campaign, version, channel) > (s.class, s.campaign, s.version, s.channel)
    order by class, campaign, version, channel limit 1) n
)`

/** Those with something due. A group is represented by its delivery that has been due longest. */
const groups =
  `select s.class, s.campaign, s.version::float8 as version, s.channel, coalesce(q.recipients, 0) as size, coalesce(q.system, '') as system, ${
    ms("h.not_before")
  } as since,
  ${ms("h.deadline")} as deadline, h.priority,
  exists (select from delivery f where f.status = 'due' and not f.held and f.class = s.class and f.campaign = s.campaign
    and f.version = s.version and f.channel = s.channel and f.not_before <= (select now from at)
    order by f.not_before, f.id offset $4::integer - 1 limit 1) as full
from step s cross join lateral (
  select not_before, deadline, priority from delivery d
  where d.status = 'due' and not d.held and d.class = s.class and d.campaign = s.campaign and d.version = s.version
    and d.channel = s.channel and d.not_before <= (select now from at)
  order by d.not_before, d.id limit 1) h
  left join mail_request q on q.id = substr(s.campaign, 2) and s.campaign like '@%'
where s.channel = any($3::text[]) and (q.id is null or q.status in ('accepted', 'cancelled'))
limit $5`

const listColumns =
  `id, campaign, version::float8 as version, class, channel, priority, status, doubtful, upload_id, send_id,
  reason, recipients, attempt, polls, ${ms("due_since")} as since, ${ms("deadline")} as deadline,
  ${ms("clock_timestamp() - send_begun_at")} as "sendAgeMs"`

/**
 * `ready`: there is something to do for the list. The others are told where their messages are still to be sent, by whomever
 * they were made: who lists or uploads more has to count them.
 *
 * What a cancelled request has asked for is not there any more. What a paused one has asked for is `paused`: not there to be
 * worked on, but to be counted, since it goes on when the request does; and its deadline ends it like any other.
 */
const openLists =
  `select ${listColumns}, s.ready and not s.paused as ready, s.paused from delivery_list cross join lateral (
  select epoch = $2 and status <> 'uploading' and (retry_at is null or retry_at <= clock_timestamp()) as ready,
    status in ('queued', 'uploaded') and deadline > shop_now() and ${ofRequest("delivery_list", "paused")} as paused) s
where provider = $1 and epoch <= $2 and status in ('queued', 'uploading', 'uploaded', 'sent', 'unknown')
  and (s.ready or status <> 'sent')
  and not (status in ('queued', 'uploaded') and ${ofRequest("delivery_list", "cancelled")})
order by s.paused or not s.ready, class = 'batch', deadline limit $6`

/**
 * $1 provider, $2 epoch, $3 channels, $4 recipients from which on a group is full, $5 groups and $6 lists at most. One
 * statement for all that a turn looks at: three cost three sessions their waking, many times a second.
 */
export const overview = `with recursive ${steps}
select ${ms("(select now from at)")} as now, (${wait}) as wait,
  (select json_agg(g) from (${groups}) g) as groups, (select json_agg(l) from (${openLists}) l) as lists,
  exists (select from step where channel = any($3::text[])) as awaits`

export const statusOf = `select id, status, attempt from delivery_list where id = any($1::text[])`

/**
 * $1 provider, $2 owner, $3 epoch, $4 list, $5 campaign, $6 version, $7 class, $8 channel, $9 size. Marketing needs
 * consent, an order's own messages only that it was not withdrawn: as the Member actor judges it, again, since days may
 * lie between. Other channels than mail are addressed by the member's id. What a paused run or campaign has asked for
 * waits, what a cancelled one has asked for is dropped (R17).
 *
 * Why somebody is left out is found out once (`materialized`): what is asked for it is dear, and is needed in two places.
 *
 * The first of the group are read in the order of `delivery_due`, however many are due. As anti-joins the conditions are
 * expected to leave next to nothing, and with the index on deadlines in reach all that is due was read and sorted for every
 * list: seconds, for a batch to a hundred thousand.
 */
export const makeList = `with picked as (
  select d.id, d.run, d.member, d.product, d.parameters, d.deadline, d.not_before, d.priority, d.request, d.recipient
  from delivery d
  where d.status = 'due' and not d.held and d.campaign = $5 and d.version = $6 and d.class = $7 and d.channel = $8
    and d.not_before <= shop_now() and d.deadline + interval '0' > shop_now()
    and (select r.status from run r where r.id = d.run) is distinct from 'paused'
    and not exists (select from campaign c where c.id = $5 and c.status = 'paused')
    and coalesce((select q.status from mail_request q where q.id = d.request), '') not in ('open', 'paused')
  order by d.not_before, d.id limit $9 for update of d skip locked
),
reached as materialized (
  select p.*, m.language, case when p.recipient is not null then p.recipient when $8 = 'mail' then m.address else m.id end
      as address,
    case when run.status = 'cancelled' then 'the run was cancelled'
      when exists (select from campaign c where c.id = $5 and c.status = 'cancelled') then 'the campaign was cancelled'
      when exists (select from mail_request q where q.id = p.request and q.status = 'cancelled')
        then 'the request was cancelled'
      when p.request is not null and exists (
          select from mail_request q join address_unsubscribed u on u.channel = $8 and u.system = q.system
            and u.address = lower(coalesce(p.recipient, m.address))
          where q.id = p.request and q.links)
        then 'unsubscribed from the mails of this system'
      when p.recipient is not null then case when p.recipient !~ '^[^[:space:]@]+@[^[:space:]@]+$' then 'not an address' end
      when m.id is null or not m.joined then 'unknown member'
      when m.withdrawn then 'withdrawn'
      when m.consents ->> $8 is distinct from 'true' and (m.consents ->> $8 = 'false' or $7 <> 'transactional')
        then 'no consent'
      when m.suppressions ->> $8 is not null then 'suppressed: ' || (m.suppressions ->> $8)
      when $8 = 'mail' and m.address is null then 'no address'
      when $8 = 'mail' and m.address !~ '^[^[:space:]@]+@[^[:space:]@]+$' then 'not an address'
      -- A call of its own per row: only where there is something to look up.
      when p.product is not null then delivery_stale(p.product, p.parameters, $7)
    end as barred
  from picked p left join member m on m.id = p.member
    left join run on run.id = p.run
),
judged as (
  select r.*, coalesce(r.barred, case
      when row_number() over (partition by r.run, lower(r.address), r.barred is null order by r.id) > 1
        or exists (select from delivery e where e.run = r.run and lower(e.address) = lower(r.address))
      then 'the run reaches this address already' end) as refused
  from reached r
),
gone as (
  update delivery d set status = 'suppressed', reason = j.refused from judged j
  where d.id = j.id and j.refused is not null returning d.id, d.member, d.request, d.status
),
${refund},
list as (
  insert into delivery_list (id, provider, owner, epoch, campaign, version, class, channel, priority, status, recipients,
    due_since, deadline)
  select $4, $1, $2, $3::integer, $5, $6, $7, $8, max(priority), 'queued', count(*), min(not_before), min(deadline)
  from judged where refused is null having count(*) > 0
  returning id, deadline, due_since, priority
),
moved as (
  update delivery d set status = 'listed', list_id = l.id, address = j.address from judged j, list l
  where d.id = j.id and j.refused is null returning d.id
)
select g.refused, x.* from (select count(*)::float8 as refused from gone) g left join (
  select j.id as delivery, j.run, j.member, j.address, j.language, j.product, j.parameters,
    ${ms("l.deadline")} as deadline, ${ms("l.due_since")} as since, l.priority
  from judged j, list l where j.refused is null) x on true`

export const deliveries = `select d.id as delivery, d.run, d.member, d.address, m.language, d.product, d.parameters
from delivery d left join member m on m.id = d.member where d.list_id = $1 and d.status = 'listed'`

export const dropFromList = `with bad as (select * from unnest($2::text[], $3::text[]) as b(id, reason)),
gone as (
  update delivery d set status = 'failed', reason = b.reason from bad b
  where d.id = b.id and d.list_id = $1 and d.status = 'listed' returning d.id, d.member, d.request, d.status
),
${refund}
update delivery_list set recipients = recipients - (select count(*) from gone), updated_at = clock_timestamp() where id = $1`

export const begin = `update delivery_list l set
  status = case w.status when 'queued' then 'uploading' else 'sending' end,
  attempt = l.attempt + 1,
  sent_at = case when w.status = 'uploaded' then shop_now() else l.sent_at end,
  send_begun_at = case when w.status = 'uploaded' and l.doubtful is null then clock_timestamp() else l.send_begun_at end,
  updated_at = clock_timestamp(), retry_at = null
from unnest($2::text[], $3::text[], $4::integer[]) as w(id, status, attempt)
where l.id = w.id and l.status = w.status and l.attempt = w.attempt and l.epoch = $1 and l.deadline > shop_now()
  and w.status in ('queued', 'uploaded') and not ${ofRequest("l", "paused", "cancelled")}
returning l.id`

/** $1 list, $2 attempt, $3 status, $4 the doubt that leads to the same; $5 to $10 the new status and its details. */
const changed = `update delivery_list set status = $5, doubtful = $6, upload_id = coalesce($7, upload_id),
  send_id = coalesce($8, send_id), reason = $9,
  retry_at = case when $10::float8 is null then null else ${after("$10")} end, updated_at = clock_timestamp()
where id = $1 and attempt = $2 and (status = $3 or status = 'unknown' and doubtful = $4) and status <> $5
returning id`

export const change = changed

/** $11, $12: status and reason of what has no result. */
export const close = `with list as (${changed}),
gone as (
  update delivery d set status = $11, reason = $12 from list l where d.list_id = l.id and d.status = 'listed'
  returning d.id, d.member, d.request, d.status
),
${refund}
select id from list`

export const expireList = `with list as (
  update delivery_list set status = 'expired', reason = 'deadline passed', updated_at = clock_timestamp()
  where id = $1 and epoch = $2 and status = $3 and attempt = $4 and status in ('queued', 'uploaded')
    and doubtful is null and deadline <= shop_now()
  returning id
),
gone as (
  update delivery d set
    status = case when d.deadline <= shop_now() then 'expired' else 'due' end,
    reason = case when d.deadline <= shop_now() then 'deadline passed' end,
    list_id = case when d.deadline <= shop_now() then d.list_id end,
    address = case when d.deadline <= shop_now() then d.address end
  from list l where d.list_id = l.id and d.status = 'listed' returning d.id, d.member, d.request, d.status
),
${refund}
select id from list`

export const expireDue = `with late as (
  select id from delivery where status = 'due' and deadline <= shop_now() and channel = any($1::text[])
  order by deadline limit $2 for update skip locked
),
gone as (
  -- As a list of ids and not as a join, for which all deliveries may be read.
  update delivery d set status = 'expired', reason = 'deadline passed' where d.id = any(array(select id from late))
  returning d.id, d.member, d.request, d.status
),
${refund}
select count(*)::float8 as n from gone`

/**
 * $1 list, $2 results by delivery: `{id: [outcome, ms since the epoch, reason or null]}`. A bounce was sent: it was tried, and the
 * member's caps count it. On a replay the provider's clock means nothing: the message counts from when its send began.
 *
 * Each delivery of the list looks its result up by its id. As rows to be joined the results were compared one by one with each
 * delivery whenever the planner took the list for small, which it does until somebody counts it again.
 */
export const record = `with gone as (
  update delivery d set
    status = case $2::jsonb -> d.id ->> 0 when 'Rejected' then 'failed' else 'sent' end,
    result = $2::jsonb -> d.id ->> 0, reason = $2::jsonb -> d.id ->> 2,
    sent_at = case when $2::jsonb -> d.id ->> 0 = 'Rejected' then null
      when c.mode = 'logical' then l.sent_at else to_timestamp(($2::jsonb -> d.id ->> 1)::float8 / 1000.0) end
  from delivery_list l, shop_clock c
  where l.id = $1 and d.list_id = $1 and $2::jsonb ? d.id and d.status in (${quoted(statusesBefore("sent"))})
  returning d.id, d.member, d.request, d.status, d.sent_at
),
sent as (
  insert into delivery_sent (delivery, member, at) select id, member, sent_at from gone where status = 'sent' and request is null
  on conflict (delivery) do nothing
),
${refund}
select count(*) from gone`

export const postpone = `update delivery_list set polls = polls + 1, retry_at = ${after("$2")} where id = $1`

export const claim = `update delivery_list l set owner = $2, epoch = $3, updated_at = clock_timestamp(),
  status = case when l.status in ('uploading', 'sending') then 'unknown' else l.status end,
  doubtful = case l.status when 'uploading' then 'upload' when 'sending' then 'send' else l.doubtful end,
  retry_at = case when l.status in ('uploading', 'sending') then ${after("$4")} else l.retry_at end
from (
  select id from delivery_list where provider = $1 and ${open}
    and (epoch < $3 or epoch = $3 and status in ('uploading', 'sending') and id <> all($5::text[]))
  order by id for update
) theirs
where l.id = theirs.id
returning l.id`

/**
 * What is to be judged again, and why it need not be: what a paused run or campaign has asked for stays held, what a cancelled
 * one has asked for or what no longer holds of its product is dropped without asking its member. Paused ones are listed once,
 * not looked up for every delivery, and the clock is read once: so a page is read in the order of `delivery_held`, to its end.
 */
export const held = `with page as materialized (
  select d.id, d.member, d.run, d.campaign, d.product, d.parameters, d.class, d.not_before from delivery d
  where d.status = 'due' and d.held and d.not_before <= (select shop_now()) and d.deadline > (select shop_now())
    and d.channel = any($1::text[])
    and d.run <> all(array(select r.id from run r where r.status = 'paused'))
    and d.campaign <> all(array(select c.id from campaign c where c.status = 'paused'))
  order by d.not_before limit $2
)
select p.id as delivery, p.member, case when c.status = 'cancelled' then 'the campaign was cancelled'
    when r.status = 'cancelled' then 'the run was cancelled' else delivery_stale(p.product, p.parameters, p.class) end as stale
from page p left join campaign c on c.id = p.campaign left join run r on r.id = p.run
order by p.not_before`

/** $1 deliveries, $2 why they are dropped, null for those released. */
export const released = `with v as (select * from unnest($1::text[], $2::text[]) as v(id, dropped)),
freed as (
  update delivery d set held = false from v where d.id = v.id and v.dropped is null and d.status = 'due' returning d.id
),
gone as (
  update delivery d set status = 'suppressed', reason = v.dropped from v
  where d.id = v.id and v.dropped is not null and d.status = 'due' returning d.id, d.member, d.request, d.status
),
${refund}
select count(*) from gone`

const marked = (table: string, told: string, applied: string) =>
  `update ${table} set relay_attempts = relay_attempts + 1,
  relayed_at = case when delivery = any(${applied}::text[]) then clock_timestamp() end
where delivery = any(${told}::text[]) and relayed_at is null`

const factColumns = "delivery, member, at, relay_attempts"
export const facts = `select tag as "_tag", delivery, member, ${ms("at")} as at from (
  (select 'Sent' as tag, ${factColumns} from delivery_sent where relayed_at is null order by relay_attempts, at limit $1)
  union all
  (select 'Refund' as tag, ${factColumns} from delivery_refund where relayed_at is null order by relay_attempts, at limit $1)
) f order by relay_attempts, at limit $1`

/**
 * $1 deliveries whose sending was told, $2 those of them of which their members know now; $3 and $4 the same of refunds. No
 * joins: those compare all with all when the planner takes what is open for little.
 */
export const relayed = `with sent as (${marked("delivery_sent", "$1", "$2")})
${marked("delivery_refund", "$3", "$4")}`

export const backlog = `select delivery_backlog($1)::float8 as n`

/**
 * Withdraws what has not begun of a cancelled request: of the one named by $1, or of all where it is null. Lists that were
 * uploading when it was cancelled are found later; what a list may have sent already is not withdrawn but unknown (R21).
 */
export const sweepCancelled = `with list as (
  update delivery_list set status = 'failed', reason = 'the request was cancelled', updated_at = clock_timestamp()
  where status in ('queued', 'uploaded') and ($1::text is null or campaign = '@' || $1)
    and ${ofRequest("delivery_list", "cancelled")}
  returning id, doubtful
),
gone as (
  update delivery d set status = 'suppressed', reason = 'the request was cancelled'
  where d.list_id in (select id from list where doubtful is null) and d.status = 'listed'
    or d.request = $1 and d.status = 'due'
  returning d.id
),
unknown as (
  update delivery d set status = 'unknown', reason = 'cancelled after a send that got no answer'
  from list l where l.doubtful is not null and d.list_id = l.id and d.status = 'listed' returning d.id
)
select count(*)::float8 as n from gone`

export const noteSpeed = `insert into delivery_speed (provider, speed) values ($1, $2::jsonb)
on conflict (provider) do update set speed = excluded.speed, at = clock_timestamp()`
