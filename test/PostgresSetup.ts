/**
 * Global set-up of the tests that need PostgreSQL: one embedded server for the whole run,
 * however many projects of the workspace take part, in a temporary folder. Its URL reaches
 * the tests as `inject("postgresUrl")`; they get databases of their own from `Database.ts`.
 *
 * HIKYAKU_TEST_DATABASE_URL: use this server instead (a user that may create databases).
 * HIKYAKU_TEST_FSYNC=on: write to disk as production does; off by default, for speed.
 */
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import type { TestProject } from "vitest/node"
import { abandonedFolders, postgresPurpose, temporaryFolder } from "./TemporaryFolder.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** Of a superuser, on a database that tests leave alone. */
    readonly postgresUrl: string
  }
}

interface SharedServer {
  readonly url: Promise<string>
  readonly scope: Scope.CloseableScope
  users: number
}

declare global {
  /** Every project of the workspace loads this module anew; only the global object is one. */
  var hikyakuTestServer: SharedServer | undefined
}

const settings = Config.all({
  url: Config.option(Config.nonEmptyString("HIKYAKU_TEST_DATABASE_URL")),
  fsync: Config.literal("on", "off")("HIKYAKU_TEST_FSYNC").pipe(Config.withDefault("off"))
})

/** Removes what killed test runs have left behind, their servers first. */
const sweep = Effect.gen(function*() {
  for (const folder of yield* abandonedFolders(postgresPurpose)) {
    yield* EmbeddedPostgres.stopOrphan(folder)
    yield* Effect.tryPromise(() => fs.rm(folder, { recursive: true, force: true }))
  }
})

const server = Effect.gen(function*() {
  const { fsync, url } = yield* settings
  if (Option.isSome(url)) return url.value
  yield* Effect.ignoreLogged(sweep)
  const dataFolder = yield* temporaryFolder(postgresPurpose)
  const running = yield* EmbeddedPostgres.start({ dataFolder, settings: { fsync } })
  return running.url
})

const acquire = (): SharedServer => {
  const scope = Effect.runSync(Scope.make())
  return { scope, users: 0, url: Effect.runPromise(Scope.extend(server, scope)) }
}

/** Called by vitest once for each project; the returned function when its tests are over. */
export default async (project: TestProject): Promise<() => Promise<void>> => {
  const shared = globalThis.hikyakuTestServer ??= acquire()
  shared.users++
  const release = async () => {
    if (--shared.users > 0) return
    globalThis.hikyakuTestServer = undefined
    await Effect.runPromise(Scope.close(shared.scope, Exit.void))
  }
  try {
    project.provide("postgresUrl", await shared.url)
    return release
  } catch (error) {
    await release()
    throw error
  }
}
