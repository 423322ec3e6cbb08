/**
 * Deliveries as the Member actor's commands write them, with the members who hold them and the campaigns they are of: so
 * that a test or a bench of sending begins where judging ends.
 */
import { cellOf, cellsDefault } from "@hikyaku/cluster/actor/Placement"
import { deliveryOf, type MailRequest, memberOf } from "./Mix.ts"

/** Runs one statement, with values for $1 and so on. */
export type Sql = (
  statement: string,
  values?: ReadonlyArray<unknown>
) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>

const hour = 3_600_000
const definition = {
  id: "bench",
  name: "Bench",
  class: "batch",
  channels: ["mail"],
  content: {
    ja: {
      mail: {
        subject: "Hello {{ member.id }}",
        html: "<p>Hello {{ member.id }}</p>",
        text: "Hello {{ member.id }}"
      }
    }
  }
}

/** The members of a mix, each holding the one delivery that it will be sent, and the campaigns of its mails. */
export const seed = async (sql: Sql, mix: ReadonlyArray<MailRequest>, startAt: number): Promise<void> => {
  for (const campaign of new Set(mix.map((mail) => mail.campaign))) {
    await sql(
      `insert into campaign_version (campaign, version, definition, author, at, state)
       values ($1, 1, $2, 'bench', now(), 'current')`,
      [campaign, JSON.stringify({ ...definition, id: campaign })]
    )
  }
  for (const mail of mix) {
    const members = Array.from({ length: mail.recipients }, (_, n) => memberOf(mail.id, n))
    // [run, campaign, product, channel, class, priority, from, length, phase, heard]: see MemberActor.
    const hold = [mail.id, mail.campaign, null, 0, mail.class === "realtime" ? 0 : 1, 0, startAt, 24 * hour, 1, 0]
    await sql(
      `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, address, attributes, consents,
         suppressions, holds, stats, decisions)
       select m.id, 1, 'bench', m.cell, 1, now(), true, false, m.id || '@shop.example', '{}', '{"mail": true}', '{}',
         $3::jsonb, '{"responses": {}, "hours": null, "objections": 0}', 0
       from unnest($1::text[], $2::text[]) as m(id, cell)`,
      [members, members.map((member) => cellOf(member, cellsDefault)), JSON.stringify([hold])]
    )
  }
  await sql("vacuum analyze member")
}

/** As those who write deliveries tell the dispatchers (see `Nudge`): a word of nobody in particular. */
const tellDispatchers = "select pg_notify('hikyaku_nudge', 'bench|due')"

/**
 * Makes a mail's deliveries due, in one commit, and tells of it; answers when they were there, ms since the epoch. Before the
 * commit nobody can see them, and that of a large batch takes a second and more.
 */
export const makeDue = async (sql: Sql, mail: MailRequest): Promise<number> => {
  const all = Array.from({ length: mail.recipients }, (_, n) => n)
  await sql(
    `insert into delivery (id, run, campaign, version, member, channel, class, priority, status, not_before, deadline,
       held, created_at)
     select d.id, $3, $5, 1, d.member, 'mail', $4, 0, 'due', clock_timestamp(), now() + interval '1 day', false, now()
     from unnest($1::text[], $2::text[]) as d(id, member)`,
    [all.map((n) => deliveryOf(mail.id, n)), all.map((n) => memberOf(mail.id, n)), mail.id, mail.class, mail.campaign]
  )
  const at = Date.now()
  await sql(tellDispatchers)
  return at
}
