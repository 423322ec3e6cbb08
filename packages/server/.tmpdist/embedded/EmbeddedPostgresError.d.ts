/**
 * What can go wrong with the embedded PostgreSQL. Every error says what happened and
 * what to do next, because most of them are read by somebody who only typed `npm start`.
 */
import * as Schema from "effect/Schema"
declare const BinaryMissing_base: Schema.TaggedErrorClass<
  BinaryMissing,
  "BinaryMissing",
  {
    readonly _tag: Schema.tag<"BinaryMissing">
  } & {
    reason: typeof Schema.String
    advice: typeof Schema.String
  }
>
/** The PostgreSQL programs are not installed, or cannot be executed by the user they must run as. */
export declare class BinaryMissing extends BinaryMissing_base {
  get message(): string
}
declare const NoUserToRunAs_base: Schema.TaggedErrorClass<
  NoUserToRunAs,
  "NoUserToRunAs",
  {
    readonly _tag: Schema.tag<"NoUserToRunAs">
  } & {
    tried: Schema.Array$<typeof Schema.String>
  }
>
/** Started as root, where there is no user that PostgreSQL could run as instead. */
export declare class NoUserToRunAs extends NoUserToRunAs_base {
  get message(): string
}
declare const DataFolderUnusable_base: Schema.TaggedErrorClass<
  DataFolderUnusable,
  "DataFolderUnusable",
  {
    readonly _tag: Schema.tag<"DataFolderUnusable">
  } & {
    folder: typeof Schema.String
    reason: typeof Schema.String
    advice: typeof Schema.String
  }
>
/** A folder or file of the data cannot be read, written or reached. */
export declare class DataFolderUnusable extends DataFolderUnusable_base {
  get message(): string
}
declare const DataInUse_base: Schema.TaggedErrorClass<
  DataInUse,
  "DataInUse",
  {
    readonly _tag: Schema.tag<"DataInUse">
  } & {
    folder: typeof Schema.String
    ownerPid: Schema.NullOr<typeof Schema.Int>
    serverPid: Schema.NullOr<typeof Schema.Int>
  }
>
/** Another living process uses these data. `ownerPid` owns them; `serverPid` is their PostgreSQL. */
export declare class DataInUse extends DataInUse_base {
  get message(): string
}
declare const DataMissing_base: Schema.TaggedErrorClass<
  DataMissing,
  "DataMissing",
  {
    readonly _tag: Schema.tag<"DataMissing">
  } & {
    pointer: typeof Schema.String
    home: typeof Schema.String
  }
>
/** The data were kept outside of the data folder, and are no longer there. */
export declare class DataMissing extends DataMissing_base {
  get message(): string
}
declare const VersionMismatch_base: Schema.TaggedErrorClass<
  VersionMismatch,
  "VersionMismatch",
  {
    readonly _tag: Schema.tag<"VersionMismatch">
  } & {
    folder: typeof Schema.String
    dataVersion: typeof Schema.String
    serverVersion: typeof Schema.String
  }
>
/** The data were written by another major version of PostgreSQL. */
export declare class VersionMismatch extends VersionMismatch_base {
  get message(): string
}
declare const InitFailed_base: Schema.TaggedErrorClass<
  InitFailed,
  "InitFailed",
  {
    readonly _tag: Schema.tag<"InitFailed">
  } & {
    folder: typeof Schema.String
    logTail: typeof Schema.String
  }
>
/** initdb failed; nothing was left behind. */
export declare class InitFailed extends InitFailed_base {
  get message(): string
}
declare const StartFailed_base: Schema.TaggedErrorClass<
  StartFailed,
  "StartFailed",
  {
    readonly _tag: Schema.tag<"StartFailed">
  } & {
    folder: typeof Schema.String
    reason: typeof Schema.String
    logFile: typeof Schema.String
    logTail: typeof Schema.String
  }
>
/** The server ended, or did not answer in time, while it was being started. */
export declare class StartFailed extends StartFailed_base {
  get message(): string
}
declare const PortTaken_base: Schema.TaggedErrorClass<
  PortTaken,
  "PortTaken",
  {
    readonly _tag: Schema.tag<"PortTaken">
  } & {
    port: typeof Schema.Int
  }
>
/** The port that was asked for is taken (only when a certain port was asked for). */
export declare class PortTaken extends PortTaken_base {
  get message(): string
}
declare const ServerDied_base: Schema.TaggedErrorClass<
  ServerDied,
  "ServerDied",
  {
    readonly _tag: Schema.tag<"ServerDied">
  } & {
    pid: typeof Schema.Int
    logFile: typeof Schema.String
  }
>
/** The running server ended though nobody had asked it to. */
export declare class ServerDied extends ServerDied_base {
  get message(): string
}
/** Everything that a start can fail with. */
export type EmbeddedPostgresError =
  | BinaryMissing
  | NoUserToRunAs
  | DataFolderUnusable
  | DataInUse
  | DataMissing
  | VersionMismatch
  | InitFailed
  | StartFailed
  | PortTaken
export {}
// # sourceMappingURL=EmbeddedPostgresError.d.ts.map
