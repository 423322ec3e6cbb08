/** The provider sandbox as a process: its configuration, and the program that the subcommand `sandbox` runs. */
import { HttpServer } from "@effect/platform";
import { Config, Effect, Layer } from "effect";
import * as SandboxRecord from "./SandboxRecord.ts";
import * as SandboxServer from "./SandboxServer.ts";
export interface SandboxConfig extends SandboxServer.SandboxServerConfig {
    /** Where the record is kept; one living process per folder. */
    readonly folder: string;
}
/** `HIKYAKU_SANDBOX_HOST`, `_PORT`, `_FOLDER` and `_API_KEY`. */
export declare const sandboxConfig: Config.Config<SandboxConfig>;
/** The sandbox, record and server, within this process; provides its `SandboxControl`, address and record's health. */
export declare const layer: (config: SandboxConfig) => Layer.Layer<import("@hikyaku/cluster/delivery/sandbox/SandboxControl").SandboxControl | SandboxRecord.RecordHealth | import("@hikyaku/cluster/delivery/sandbox/SandboxService").SandboxRecorder | import("@hikyaku/cluster/delivery/sandbox/SandboxService").SandboxService | HttpServer.HttpServer, import("../embedded/EmbeddedPostgresError.ts").DataFolderUnusable | import("../embedded/EmbeddedPostgresError.ts").DataInUse | import("@hikyaku/cluster/delivery/sandbox/SandboxSettings").SettingsRefused | import("@hikyaku/cluster/delivery/sandbox/SandboxService").RecordUnreadable | import("@effect/platform/HttpServerError").ServeError, never>;
/**
 * Runs the sandbox until it is interrupted; fails when its record cannot be read or written. `onListening` gets the
 * address, e.g. `http://127.0.0.1:8025`.
 */
export declare const program: (config: SandboxConfig, onListening?: (url: string) => Effect.Effect<void>) => Effect.Effect<never, import("../embedded/EmbeddedPostgresError.ts").DataFolderUnusable | import("../embedded/EmbeddedPostgresError.ts").DataInUse | import("@hikyaku/cluster/delivery/sandbox/SandboxSettings").SettingsRefused | SandboxRecord.RecordBroken | import("@hikyaku/cluster/delivery/sandbox/SandboxService").RecordUnreadable | import("@effect/platform/HttpServerError").ServeError, never>;
//# sourceMappingURL=SandboxMain.d.ts.map