/**
 * The one PostgreSQL that everything in a run is measured on: the embedded server, on disk and with fsync on. Each
 * measurement of each system gets a database of its own, a copy of one template: the schema of this version, and 50,000
 * adds of old, since on empty tables plans are made that would not last.
 */
import { databaseLayer } from "@hikyaku/server/ClusterNode"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import { prepareDatabase } from "@hikyaku/server/Program"
import { Effect, Exit, Redacted, Scope } from "effect"
import pg from "pg"
import { defineProducts, old } from "./Books.ts"

export interface Database {
  readonly name: string
  readonly url: string
  /** A few connections for checks and set-up; not what is measured. */
  readonly admin: pg.Pool
}

export const template = "bench_template"
/** Adds of old in the template. */
const oldAdds = 50_000

const named = (serverUrl: string, database: string): string => {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}

export class Postgres {
  readonly version: string
  /** Of the server's main process. */
  readonly pid: number
  private readonly url: string
  private readonly scope: Scope.CloseableScope
  private readonly root: pg.Pool
  private readonly open = new Set<Database>()

  private constructor(server: EmbeddedPostgres.RunningPostgres, scope: Scope.CloseableScope) {
    this.url = server.url
    this.version = server.version
    this.pid = server.pid
    this.scope = scope
    this.root = new pg.Pool({ connectionString: server.url, max: 2 })
    this.root.on("error", () => {})
  }

  static async start(dataFolder: string): Promise<Postgres> {
    const scope = Effect.runSync(Scope.make())
    const server = await Effect.runPromise(Scope.extend(EmbeddedPostgres.start({ dataFolder }), scope))
    const postgres = new Postgres(server, scope)
    for (const setting of ["fsync", "synchronous_commit", "full_page_writes"]) {
      const { rows } = await postgres.root.query<Record<string, string>>(`show ${setting}`)
      if (rows[0]?.[setting] !== "on") throw new Error(`${setting} is ${rows[0]?.[setting]}: nothing would be durable`)
    }
    return postgres
  }

  /** The template of this version, made anew by the first bench of a run: an earlier run's may be of another. */
  async prepare(): Promise<void> {
    await this.migrated(template)
    const database = await this.connect(template)
    await defineProducts(database.admin, old, 1, oldAdds)
    await database.admin.query(
      `insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at, closed_at)
       select $1, gen_random_uuid(), 'm' || i, 1, i, 'settled', now(), now(), now() from generate_series(1, $2) i`,
      [`${old}0`, oldAdds]
    )
    await database.admin.query(
      `insert into outcome (kind, actor, command, hash, reply)
       select 'Product', product, (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - 3600000), 12, '0')
         || '7000' || '8' || substr(replace(ticket::text, '-', ''), 18))::uuid, '0123456789abcdef',
         json_build_object('_tag', 'Allocated', 'sequence', sequence, 'expiresAt', 1700000000000) from allocation`
    )
    await database.admin.query("vacuum analyze product, allocation, outcome")
    await this.close(database)
  }

  /** An empty database with this version's schema; one of that name is gone. */
  async migrated(name: string): Promise<void> {
    await this.root.query(`drop database if exists ${name} with (force)`)
    await this.root.query(`create database ${name}`)
    const layer = databaseLayer(Redacted.make(named(this.url, name)), "hikyaku-bench")
    await Effect.runPromise(Effect.provide(prepareDatabase, layer))
  }

  async exists(name: string): Promise<boolean> {
    const { rowCount } = await this.root.query("select 1 from pg_database where datname = $1", [name])
    return rowCount === 1
  }

  async connect(name: string): Promise<Database> {
    const url = named(this.url, name)
    const admin = new pg.Pool({ connectionString: url, max: 4 })
    // A database that is dropped ends its connections.
    admin.on("error", () => {})
    const database = { name, url, admin }
    this.open.add(database)
    return database
  }

  async close(database: Database): Promise<void> {
    if (this.open.delete(database)) await database.admin.end()
  }

  /** A fresh copy of the template (or of another database that nobody is connected to), as `bench_NAME`. */
  async fresh(name: string, source: string = template): Promise<Database> {
    const own = `bench_${name}`
    await this.root.query(`drop database if exists ${own} with (force)`)
    // The last session on the source may still be on its way out.
    for (let attempt = 1;; attempt++) {
      try {
        await this.root.query(`create database ${own} template ${source} strategy file_copy`)
        break
      } catch (cause) {
        if (attempt >= 20 || !(cause instanceof pg.DatabaseError) || cause.code !== "55006") throw cause
        await new Promise((resume) => setTimeout(resume, 100))
      }
    }
    return this.connect(own)
  }

  async drop(database: Database): Promise<void> {
    await this.close(database)
    await this.root.query(`drop database if exists ${database.name} with (force)`)
  }

  /** What is to be written anyway is written now, not while something is measured. */
  async settle(): Promise<void> {
    await this.root.query("checkpoint")
  }

  async stop(): Promise<void> {
    for (const database of this.open) await this.close(database)
    await this.root.end()
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
  }
}
