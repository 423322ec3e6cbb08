/**
 * The provider sandbox and a runner, each a process of its own as in production, and deliveries as the Member actor's
 * commits write them. A sandbox and a runner are started anew for each measurement.
 */
import { cellOf, cellsDefault } from "@hikyaku/cluster/actor/Placement"
import { createServer } from "node:net"
import { Child, serverMain } from "../rig/Child.ts"
import type { Database } from "../rig/Postgres.ts"
import { deliveryOf, type MailRequest, memberOf, provider } from "./Mix.ts"

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

export interface Sandbox {
  readonly url: string
  /** Where its record is. */
  readonly folder: string
  readonly stop: () => Promise<void>
}

/** A provider of these benches' kind that allows so many requests at a time. */
export const startSandbox = async (folder: string, concurrency: number): Promise<Sandbox> => {
  const port = String(await freePort())
  const url = `http://127.0.0.1:${port}`
  const process = await Child.start({
    name: "sandbox",
    program: serverMain,
    args: ["sandbox"],
    environment: {
      HIKYAKU_SANDBOX_HOST: "127.0.0.1",
      HIKYAKU_SANDBOX_PORT: port,
      HIKYAKU_SANDBOX_FOLDER: folder,
      HIKYAKU_SANDBOX_API_KEY: ""
    }
  })
  const fixed = (ms: number) => ({ _tag: "Fixed", ms })
  const settings = {
    concurrency: { total: concurrency, upload: null },
    perSecond: { total: null },
    latency: {
      upload: fixed(provider.uploadMs),
      send: fixed(provider.sendMs),
      status: fixed(provider.statusMs),
      history: fixed(provider.statusMs)
    },
    uploadPerRecipientMs: provider.perRecipientMs,
    sendDuration: provider.sending
  }
  const response = await fetch(`${url}/v1/settings`, { method: "PUT", body: JSON.stringify(settings) })
  if (!response.ok) throw new Error(`the sandbox refuses its settings: ${await response.text()}`)
  return { url, folder, stop: () => process.stop() }
}

/** A runner with this provider, its limit told. */
export const startRunner = async (database: Database, sandbox: Sandbox, concurrency: number): Promise<Child> =>
  Child.start({
    name: "runner",
    program: serverMain,
    args: ["runner"],
    environment: {
      DATABASE_URL: database.url,
      HIKYAKU_RUNNER_HOST: "127.0.0.1",
      HIKYAKU_RUNNER_PORT: String(await freePort()),
      HIKYAKU_PROVIDER_URL: sandbox.url,
      HIKYAKU_PROVIDER_API_KEY: "",
      HIKYAKU_PROVIDER_CONCURRENCY: String(concurrency),
      HIKYAKU_PROVIDER_RATE: "1000",
      DELIVERY_LIST_SIZE: String(provider.listSize)
    }
  })

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
export const seed = async (database: Database, mix: ReadonlyArray<MailRequest>, startAt: number): Promise<void> => {
  for (const campaign of new Set(mix.map((mail) => mail.campaign))) {
    await database.admin.query(
      `insert into campaign_version (campaign, version, definition, author, at, state)
       values ($1, 1, $2, 'bench', now(), 'current')`,
      [campaign, JSON.stringify({ ...definition, id: campaign })]
    )
  }
  for (const mail of mix) {
    const members = Array.from({ length: mail.recipients }, (_, n) => memberOf(mail.id, n))
    // [run, campaign, product, channel, class, priority, from, length, phase, heard]: see MemberActor.
    const hold = [mail.id, mail.campaign, null, 0, mail.class === "realtime" ? 0 : 1, 0, startAt, 24 * hour, 1, 0]
    await database.admin.query(
      `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, address, attributes, consents,
         suppressions, holds, stats, decisions)
       select m.id, 1, 'bench', m.cell, 1, now(), true, false, m.id || '@shop.example', '{}', '{"mail": true}', '{}',
         $3::jsonb, '{"responses": {}, "hours": null, "objections": 0}', 0
       from unnest($1::text[], $2::text[]) as m(id, cell)`,
      [members, members.map((member) => cellOf(member, cellsDefault)), JSON.stringify([hold])]
    )
  }
  await database.admin.query("vacuum analyze member")
}

/** Makes a mail's deliveries due, in one commit; answers when that was, ms since the epoch. */
export const makeDue = async (database: Database, mail: MailRequest): Promise<number> => {
  const all = Array.from({ length: mail.recipients }, (_, n) => n)
  const { rows } = await database.admin.query<{ readonly at: number }>(
    `with due as (
       insert into delivery (id, run, campaign, version, member, channel, class, priority, status, not_before, deadline,
         held, created_at)
       select d.id, $3, $5, 1, d.member, 'mail', $4, 0, 'due', clock_timestamp(), now() + interval '1 day', false, now()
       from unnest($1::text[], $2::text[]) as d(id, member)
     )
     select (extract(epoch from clock_timestamp()) * 1000)::float8 as at`,
    [all.map((n) => deliveryOf(mail.id, n)), all.map((n) => memberOf(mail.id, n)), mail.id, mail.class, mail.campaign]
  )
  return rows[0]?.at ?? Date.now()
}
