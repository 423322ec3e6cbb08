/**
 * A shop that has been in business for a quarter: members with what they did and favoured, campaigns with their runs, what
 * was sent, what is due, why it was not, and the log of it all. Everything is made in the store, the same each time.
 */
import type pg from "pg"
import { defineMembers } from "../rig/Books.ts"

/** Campaigns: the last of them is cancelled, and its messages are not dropped yet. */
export const campaigns = 50
const versions = 5
const products = 5_000
const days = 90

/** Rows of a shop with so many members. */
export const sizes = (members: number) => ({
  activity: members * 10,
  favourites: members * 2,
  listed: members / 4,
  deliveries: members * 4,
  /** Of them: due now, and held for later. */
  due: members / 10,
  held: members / 20,
  ledger: members * 5,
  runs: members / 10,
  events: members * 2
})

const fence = "1, 'bench', 'c', 0, clock_timestamp(), null"

/** The statements, in their order; $n: members. */
const statements = (members: number): ReadonlyArray<readonly [string, string]> => {
  const { activity, deliveries, due, events, favourites, held, ledger, listed, runs } = sizes(members)
  const at = (n: string) => `now() - (${n}) % (${days} * 86400) * interval '1 second'`
  const member = (n: string) => `'m' || (${n}) % ${members}`
  const product = (n: string) => `'p' || (${n}) % ${products}`
  const campaign = (n: string) => `'campaign-' || (${n}) % ${campaigns}`
  return [
    [
      "catalogue_product",
      `insert into catalogue_product (id, name, price, category, brand)
       select 'p' || n, 'Product ' || n, 1000 + n, 'c' || n % 50, 'b' || n % 200 from generate_series(0, ${
        products - 1
      }) n`
    ],
    [
      "member_activity",
      `insert into member_activity (member, type, product, category, brand, day, count, last_at)
       select ${member("n * 7919")}, (array['viewed', 'viewed', 'viewed', 'carted', 'bought', 'opened'])[1 + n % 6],
         ${product("n * 31 + n / 997")}, 'c' || (n * 31 + n / 997) % ${products} % 50,
         'b' || (n * 31 + n / 997) % ${products} % 200, (now() - n % ${days} * interval '1 day')::date, 1,
         now() - n % ${days} * interval '1 day' from generate_series(1, ${activity}::bigint) n on conflict do nothing`
    ],
    [
      "favourite",
      `insert into favourite (member, product, category, brand, at)
       select ${member("n * 104729")}, ${product("n * 17 + n / 331")}, 'c' || (n * 17 + n / 331) % ${products} % 50,
         'b' || (n * 17 + n / 331) % ${products} % 200, ${at("n * 53")}
       from generate_series(1, ${favourites}::bigint) n on conflict do nothing`
    ],
    [
      "list_member",
      `insert into list_member select 'l' || n % 100, ${member("n * 3")} from generate_series(1, ${listed}::bigint) n
       on conflict do nothing`
    ],
    [
      "campaign",
      `insert into campaign (id, version, writer, cell, epoch, clock, due_at, status, current_version, time_zone, marks, day,
         runs_today, spent_today, runs, suppressed)
       select 'campaign-' || n, ${fence}, case when n = ${
        campaigns - 1
      } then 'cancelled' else 'active' end, ${versions},
         'Asia/Tokyo', '{}', 0, 0, 0, 0, '{}' from generate_series(0, ${campaigns - 1}) n`
    ],
    [
      "campaign_version",
      `insert into campaign_version (campaign, version, definition, author, at, state)
       select 'campaign-' || n, v, jsonb_set($1::jsonb, '{id}', to_jsonb('campaign-' || n)), 'bench', now(),
         case when v = ${versions} then 'current' else 'past' end
       from generate_series(0, ${campaigns - 1}) n, generate_series(1, ${versions}) v`
    ],
    [
      "run",
      `insert into run (id, campaign, version, cause, product, parameters, class, priority, started_at, deadline, status,
         considered, accepted, finished_at)
       select 'r' || n, ${campaign("n")}, ${versions}, '{"_tag": "Cycle", "at": 1790000000000}', ${product("n")},
         '{}', case when n % 5 = 0 then 'batch' else 'realtime' end, 1 + n % 900, at, at + interval '6 hours', 'finished', 200,
         50, at + interval '1 minute'
       from (select n, ${at("n * 389")} as at from generate_series(1, ${runs}::bigint) n) r`
    ],
    [
      "delivery",
      `insert into delivery (id, run, campaign, version, member, channel, class, priority, product, parameters, status,
         not_before, deadline, held, created_at, sent_at, address)
       select r.id || ':' || ${member("n * 13")}, r.id, r.campaign, r.version, ${member("n * 13")},
         (array['mail', 'mail', 'line', 'push'])[1 + n % 4], r.class, r.priority, r.product, '{}',
         case when n <= ${
        due + held
      } then 'due' when n % 23 = 0 then 'expired' when n % 29 = 0 then 'suppressed' else 'sent' end,
         case when n <= ${due} then now() - n % 3600 * interval '1 second'
           when n <= ${due + held} then now() + (n % 7200 - 3600) * interval '1 second' else r.started_at end,
         case when n <= ${due} and n % 97 = 0 then now() - (n % 3600) * interval '1 second' when n <= ${
        due + held
      } then now() + interval '2 days' else r.started_at + interval '6 hours' end,
         n > ${due} and n <= ${due + held}, r.started_at, case when n > ${due + held} then r.started_at end,
         case when n > ${due + held} then 'member' || n || '@example.com' end
       from generate_series(1, ${deliveries}::bigint) n join run r on r.id = 'r' || (1 + n * 7 % ${runs})
       on conflict do nothing`
    ],
    [
      "facts",
      `with s as (insert into delivery_sent (delivery, member, at, relayed_at)
         select id, member, sent_at, case when random() > 0.001 then now() end from delivery where status = 'sent')
       insert into delivery_refund (delivery, member, at, relayed_at)
       select id, member, created_at, case when random() > 0.001 then now() end from delivery
       where status in ('expired', 'suppressed')`
    ],
    [
      "delivery_list",
      `insert into delivery_list (id, provider, owner, epoch, campaign, version, class, channel, priority, status, recipients,
         due_since, deadline)
       select 'list-' || n, 'mail', 'bench', 1, ${campaign("n")}, ${versions}, 'batch', 'mail', 1,
         case when n <= 50 then 'sent' else 'completed' end, 200, ${at("n")}, now() + interval '1 day'
       from generate_series(1, ${Math.ceil(members / 10)}) n`
    ],
    [
      "decision_ledger",
      `insert into decision_ledger (member, n, run, campaign, stage, decision, reason, at)
       select ${member("n")}, n / ${members}, 'r' || (1 + n * 11 % ${runs}), ${
        campaign("n")
      }, 'cap', 'rejected', 'Capped',
         now() - (${ledger} - n)::float8 / ${ledger} * ${days + 10} * interval '1 day'
       from generate_series(1, ${ledger}::bigint) n on conflict do nothing`
    ],
    [
      "event_log",
      `insert into event_log (partition, "offset", source, event_id, key, type, at, happening, catalogue_version, appended_at)
       select n % 8, n / 8, 'bench', 'e' || n, 'p:p' || n % ${products}, 'Viewed', at,
         jsonb_build_object('_tag', 'Viewed', 'member', ${member("n")}, 'product', ${product("n")}), 1, at
       from (select n, now() - (${events} - n) * ${days} / ${events} * interval '1 day' as at
         from generate_series(0, ${events}::bigint - 1) n) e`
    ],
    [
      "event_seen",
      `insert into event_seen (source, event_id, hash, at) select source, event_id, 'h', appended_at from event_log`
    ],
    [
      "offsets",
      `with p as (update event_partition p set next_offset = (select max("offset") + 1 from event_log l
         where l.partition = p.partition) returning partition, next_offset)
       update consumer_offset c set "offset" = p.next_offset - 501 from p where p.partition = c.partition`
    ],
    [
      "event_import",
      `insert into event_import (id, lines, finished, moved_at)
       select 'import-' || n, 1000, true, ${at("n * 97")} from generate_series(1, ${Math.ceil(members / 20)}) n`
    ]
  ]
}

/** Fills an empty database; `definition` is what every campaign says. */
export const fill = async (
  sql: pg.Pool,
  members: number,
  definition: unknown,
  say: (text: string) => void
): Promise<void> => {
  const started = performance.now()
  const done = (what: string) => say(`${what} after ${Math.round((performance.now() - started) / 1000)} s`)
  await defineMembers(sql, members)
  done("member")
  for (const [what, text] of statements(members)) {
    await sql.query(text, text.includes("$1") ? [JSON.stringify(definition)] : [])
    done(what)
  }
  await sql.query("vacuum analyze")
  for (const index of ["decision_ledger_at", "event_seen_at", "event_import_moved"]) {
    await sql.query("select brin_summarize_new_values($1::regclass)", [index])
  }
  done("vacuum analyze")
}
