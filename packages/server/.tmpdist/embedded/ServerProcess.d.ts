import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Binaries } from "./Binaries.ts"
import { type Home } from "./DataFolder.ts"
import { DataFolderUnusable, DataInUse, PortTaken, StartFailed } from "./EmbeddedPostgresError.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"
import * as ServerSettings from "./ServerSettings.ts"
/** A server that takes connections. */
export interface Server {
  readonly identity: ProcessIdentity.ProcessIdentity
  readonly port: number
}
/** The database that Hikyaku uses, and the one that always exists. */
export declare const databaseName = "hikyaku"
/** Completes when the server has ended, for whatever reason. */
export declare const ended: (server: Pick<Server, "identity">) => Effect.Effect<void>
/** Processes do not wait for a test's clock. Finalizers need it too: they run with the clock of whoever closes the scope. */
export declare const inRealTime: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
/** Stops the server: gently, then less so; nothing happens if it has ended. At most 55 seconds. */
export declare const stop: (identity: ProcessIdentity.ProcessIdentity) => Effect.Effect<void>
interface Launch {
  readonly home: Home
  readonly binaries: Binaries
  readonly settings: ServerSettings.ServerSettings
  readonly password: string
  /** None: the last one if it is free, so that those who still know it find the server again; else any. */
  readonly port: Option.Option<number>
}
/** Starts a server on the home's data and waits until it answers. The scope stops it. */
export declare const launch: (
  options: Launch
) => Effect.Effect<Server, DataFolderUnusable | PortTaken | StartFailed, Scope.Scope>
/**
 * Deals with a server whose owner is no more: takes it over when it is just what we would
 * start, answers, and `adoptable`; stops it otherwise. A stale postmaster.pid is made
 * harmless. Only with the claim. Fails with `DataInUse` when somebody else started it.
 */
export declare const adoptOrStop: (
  options: Launch & {
    readonly adoptable: boolean
  }
) => Effect.Effect<Option.Option<Server>, DataFolderUnusable | DataInUse, Scope.Scope>
export {}
// # sourceMappingURL=ServerProcess.d.ts.map
