/**
 * What a good team would write for W3 without Hikyaku, on the same tables with the same indexes, doing the same: who
 * favourited the product, the filter, consent, the cap over what the member was sent lately; then the member's row with one
 * message more, and the delivery. None of them records an outcome beside: the delivery's key makes a repeat harmless.
 *
 * `pg-one-statement` is the floor: no history of decisions, nobody else is heard meanwhile, all or nothing.
 */
import pg from "pg"
import type { Database } from "../rig/Postgres.ts"
import { type Audience, campaignId, cap, deadlineMs } from "./Audience.ts"

/** Fans one run out to an audience; answers how many were accepted. */
export type FanOut = (audience: Audience, run: string, sendAt: number) => Promise<number>
export interface Baseline {
  readonly fanOut: FanOut
  readonly stop: () => Promise<void>
}

export const oneStatement = "pg-one-statement"
export const handBatched = "pg-node-batched"
export const perMember = "pg-node-pool32"

/** Members of a page, as in Hikyaku's runs; pages under way at a time. */
const pageSize = 1_000
const lanes = 2
const connections = 32

const connect = (database: Database, max: number): pg.Pool =>
  new pg.Pool({ connectionString: database.url, max }).on("error", () => {})

/** A member's hold as the Member actor writes it. $1 run, $2 product, $3 from, $4 until (ms). */
const holdSql =
  `jsonb_build_array($1::text, '${campaignId}', $2::text, 0, 1, 10, $3::bigint, $4::bigint - $3::bigint, 0, 0)`
/** The columns of a delivery that are the same for every member, from the same parameters. */
const deliverySql = (member: string) =>
  `$1::text || ':' || ${member}, $1::text, '${campaignId}', 1, ${member}, 'mail', 'batch', 10, $2::text,
  '{"before": 5900, "after": 4900}'::jsonb, 'due', to_timestamp($3::bigint / 1000.0), to_timestamp($4::bigint / 1000.0), true,
  'slot', clock_timestamp()`
const deliveryColumns = `id, run, campaign, version, member, channel, class, priority, product, parameters, status,
  not_before, deadline, held, why, created_at`
const withinCap = `(select count(*) from jsonb_array_elements(m.holds) h
  where (h->>6)::bigint + (h->>7)::bigint > $3::bigint - ${cap.windowMs}) < ${cap.count}`
const allowed = `m.joined and not m.withdrawn and m.attributes->>'tier' in ('gold', 'silver', 'none')
  and m.consents->>'mail' = 'true' and not m.suppressions ? 'mail'`

const statement = `with picked as materialized (
  select m.id from favourite f join member m on m.id = f.member
  where f.product = $2::text and ${allowed} and ${withinCap} for update of m
),
taken as (
  update member m set version = m.version + 1, clock = clock_timestamp(), holds = m.holds || jsonb_build_array(${holdSql})
  from picked p where m.id = p.id
)
insert into delivery (${deliveryColumns}) select ${deliverySql("p.id")} from picked p`

export const startOneStatement = (database: Database): Promise<Baseline> => {
  const pool = connect(database, 1)
  return Promise.resolve({
    fanOut: async ({ product }, run, sendAt) =>
      (await pool.query(statement, [run, product, sendAt, sendAt + deadlineMs])).rowCount ?? 0,
    stop: () => pool.end()
  })
}

interface MemberRow {
  readonly id: string
  readonly version: string
  readonly joined: boolean
  readonly withdrawn: boolean
  readonly attributes: Readonly<Record<string, unknown>>
  readonly consents: Readonly<Record<string, boolean>>
  readonly suppressions: Readonly<Record<string, string>>
  readonly holds: ReadonlyArray<ReadonlyArray<unknown>>
}

const pageSql =
  `select member as id from favourite where product = $1 and member > $2 order by member limit ${pageSize}`
const loadSql = `select id, version, joined, withdrawn, attributes, consents, suppressions, holds from member
  where id = any($1::text[])`
const saveSql = `with w as (
  update member m set version = m.version + 1, clock = clock_timestamp(), holds = x.holds::jsonb
  from unnest($5::text[], $6::bigint[], $7::text[]) as x(id, version, holds)
  where m.id = x.id and m.version = x.version returning m.id
)
insert into delivery (${deliveryColumns}) select ${deliverySql("w.id")} from w`

/** One process: pages are read, decided here, and written under the members' versions, two pages at a time. */
export const startHandBatched = (database: Database): Promise<Baseline> => {
  const pool = connect(database, lanes)
  const page = async (ids: ReadonlyArray<string>, product: string, run: string, sendAt: number): Promise<number> => {
    const { rows } = await pool.query<MemberRow>({ name: "load", text: loadSql, values: [ids] })
    const accepted = rows.filter((row) =>
      row.joined && !row.withdrawn && ["gold", "silver", "none"].includes(String(row.attributes["tier"])) &&
      row.consents["mail"] === true && row.suppressions["mail"] === undefined &&
      row.holds.filter((hold) => Number(hold[6]) + Number(hold[7]) > sendAt - cap.windowMs).length < cap.count
    )
    const hold = [run, campaignId, product, 0, 1, 10, sendAt, deadlineMs, 0, 0]
    const { rowCount } = await pool.query({
      name: "save",
      text: saveSql,
      values: [
        run,
        product,
        sendAt,
        sendAt + deadlineMs,
        accepted.map((row) => row.id),
        accepted.map((row) => row.version),
        accepted.map((row) => JSON.stringify([...row.holds, hold]))
      ]
    })
    return rowCount ?? 0
  }
  return Promise.resolve({
    fanOut: async ({ product }, run, sendAt) => {
      let cursor = ""
      let accepted = 0
      let done = false
      let turn: Promise<unknown> = Promise.resolve()
      const next = (): Promise<ReadonlyArray<string>> => {
        const mine = turn.then(async () => {
          if (done) return []
          const { rows } = await pool.query<{ readonly id: string }>({
            name: "page",
            text: pageSql,
            values: [product, cursor]
          })
          done = rows.length < pageSize
          cursor = rows.at(-1)?.id ?? cursor
          return rows.map((row) => row.id)
        })
        turn = mine
        return mine
      }
      const lane = async () => {
        for (let ids = await next(); ids.length > 0; ids = await next()) {
          accepted += await page(ids, product, run, sendAt)
        }
      }
      await Promise.all(Array.from({ length: lanes }, lane))
      return accepted
    },
    stop: () => pool.end()
  })
}

const procedure = `create or replace function bench_consider(text, text, bigint, bigint, text) returns boolean
language plpgsql as $$
begin
  update member m set version = m.version + 1, clock = clock_timestamp(), holds = m.holds || jsonb_build_array(${holdSql})
  where m.id = $5 and ${allowed} and ${withinCap};
  if not found then return false; end if;
  insert into delivery (${deliveryColumns}) values (${deliverySql("$5")});
  return true;
end $$`

/** A stored procedure per member from a pool of 32: prepared, a round trip and a commit each. */
export const startPerMember = async (database: Database): Promise<Baseline> => {
  const pool = connect(database, connections)
  await pool.query(procedure)
  return {
    fanOut: async ({ product }, run, sendAt) => {
      let accepted = 0
      let cursor = ""
      for (;;) {
        const { rows } = await pool.query<{ readonly id: string }>({
          name: "page",
          text: pageSql,
          values: [product, cursor]
        })
        let next = 0
        const caller = async () => {
          for (let row = rows[next++]; row !== undefined; row = rows[next++]) {
            const answer = await pool.query<{ readonly yes: boolean }>({
              name: "consider",
              text: "select bench_consider($1, $2, $3, $4, $5) as yes",
              values: [run, product, sendAt, sendAt + deadlineMs, row.id]
            })
            if (answer.rows[0]?.yes === true) accepted++
          }
        }
        await Promise.all(Array.from({ length: connections }, caller))
        const last = rows.at(-1)
        if (last === undefined || rows.length < pageSize) return accepted
        cursor = last.id
      }
    },
    stop: () => pool.end()
  }
}
