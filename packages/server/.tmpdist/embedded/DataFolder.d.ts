/**
 * Where the data of the embedded PostgreSQL are, whose they are, and how they begin.
 * Keyed by the data folder (`.hikyaku`); written by the process that holds its claim.
 *
 *     .hikyaku/postgres/            the home: everything of the server, unless it must lie elsewhere
 *       data/                       what PostgreSQL calls the data directory
 *       password                    of the superuser `hikyaku`; readable by whoever starts the server alone
 *       server.log                  what the server says
 *       owner-N.json                who owns it, see OwnerClaim
 *     .hikyaku/postgres-home.json   only when the home lies elsewhere: where
 *
 * The home must lie elsewhere when Hikyaku runs as root, PostgreSQL therefore as another
 * user, and that user may not enter a folder above (a checkout below /root). Then it is
 * `/var/lib/hikyaku/<hash of the data folder's path>`: a place that survives restarts of
 * the machine, which a temporary folder does not. The pointer, not the hash, is what later
 * starts go by, so moving the checkout keeps the data.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Binaries } from "./Binaries.ts"
import {
  DataFolderUnusable,
  DataMissing,
  InitFailed,
  type NoUserToRunAs,
  VersionMismatch
} from "./EmbeddedPostgresError.ts"
import * as ServerUser from "./ServerUser.ts"
/** The superuser that Hikyaku connects as, and the database that it connects to. */
export declare const databaseUser = "hikyaku"
/** Where homes go that cannot lie in the data folder. */
export declare const systemFolderDefault = "/var/lib/hikyaku"
/** A located home. `user` is whom PostgreSQL runs as; none means ourselves. */
export interface Home {
  readonly folder: string
  readonly user: Option.Option<ServerUser.ServerUser>
  /** Where the pointer file is or belongs; none when the home lies in the data folder. */
  readonly pointer: Option.Option<string>
}
export declare const dataOf: (home: Pick<Home, "folder">) => string
export declare const logFileOf: (home: Pick<Home, "folder">) => string
/** The home of the data folder if it has one yet; nothing is created. */
export declare const find: (
  dataFolder: string
) => Effect.Effect<Option.Option<string>, DataFolderUnusable | DataMissing>
/** Finds the home, or makes an empty one. Two that do so at once get the same. */
export declare const locate: (options: {
  readonly dataFolder: string
  readonly systemFolder: string
}) => Effect.Effect<Home, DataFolderUnusable | DataMissing | NoUserToRunAs>
/** Whether the data folder that the home belonged to was deleted: no pointer leads to it. */
export declare const isDisowned: (home: Home) => Effect.Effect<boolean, DataFolderUnusable>
/**
 * Makes sure that the home holds data of this version. Only with the claim. `durable`
 * false skips the sync to disk (tests).
 */
export declare const initialise: (
  home: Home,
  binaries: Binaries,
  durable: boolean
) => Effect.Effect<void, DataFolderUnusable | InitFailed | VersionMismatch>
/** The superuser's password. */
export declare const password: (folder: string) => Effect.Effect<string, DataFolderUnusable>
// # sourceMappingURL=DataFolder.d.ts.map
