/**
 * What can go wrong with the embedded PostgreSQL. Every error says what happened and
 * what to do next, because most of them are read by somebody who only typed `npm start`.
 */
import * as Schema from "effect/Schema"

/** The PostgreSQL programs are not installed, or cannot be executed by the user they must run as. */
export class BinaryMissing extends Schema.TaggedError<BinaryMissing>()("BinaryMissing", {
  reason: Schema.String,
  advice: Schema.String
}) {
  override get message() {
    return `The embedded PostgreSQL cannot be run: ${this.reason}. ${this.advice}`
  }
}

/** Started as root, where there is no user that PostgreSQL could run as instead. */
export class NoUserToRunAs extends Schema.TaggedError<NoUserToRunAs>()("NoUserToRunAs", {
  tried: Schema.Array(Schema.String)
}) {
  override get message() {
    return `PostgreSQL refuses to run as root, and root can become none of the users ${this.tried.join(", ")} here. ` +
      "Create one of them (useradd --system postgres), let the container change users (CAP_SETUID), " +
      "or start Hikyaku as an ordinary user."
  }
}

/** A folder or file of the data cannot be read, written or reached. */
export class DataFolderUnusable extends Schema.TaggedError<DataFolderUnusable>()("DataFolderUnusable", {
  folder: Schema.String,
  reason: Schema.String,
  advice: Schema.String
}) {
  override get message() {
    return `The data folder ${this.folder} cannot be used: ${this.reason}. ${this.advice}`
  }
}

/** Another living process uses these data. `ownerPid` owns them; `serverPid` is their PostgreSQL. */
export class DataInUse extends Schema.TaggedError<DataInUse>()("DataInUse", {
  folder: Schema.String,
  ownerPid: Schema.NullOr(Schema.Int),
  serverPid: Schema.NullOr(Schema.Int)
}) {
  override get message() {
    const who = this.ownerPid !== null
      ? `process ${this.ownerPid}`
      : `a PostgreSQL that Hikyaku did not start (process ${this.serverPid ?? "unknown"})`
    return `The data in ${this.folder} are in use by ${who}. ` +
      "Stop it, or give this start a data folder of its own."
  }
}

/** The data were kept outside of the data folder, and are no longer there. */
export class DataMissing extends Schema.TaggedError<DataMissing>()("DataMissing", {
  pointer: Schema.String,
  home: Schema.String
}) {
  override get message() {
    return `${this.pointer} says that the data are in ${this.home}, which does not exist. ` +
      "Bring that folder back, or delete the pointer file to begin with an empty database."
  }
}

/** The data were written by another major version of PostgreSQL. */
export class VersionMismatch extends Schema.TaggedError<VersionMismatch>()("VersionMismatch", {
  folder: Schema.String,
  dataVersion: Schema.String,
  serverVersion: Schema.String
}) {
  override get message() {
    return `The data in ${this.folder} belong to PostgreSQL ${this.dataVersion}, but PostgreSQL ` +
      `${this.serverVersion} is installed. Move them with pg_dump or pg_upgrade, or use another data folder.`
  }
}

/** initdb failed; nothing was left behind. */
export class InitFailed extends Schema.TaggedError<InitFailed>()("InitFailed", {
  folder: Schema.String,
  advice: Schema.String,
  logTail: Schema.String
}) {
  override get message() {
    return `The database in ${this.folder} could not be created; nothing was left behind. ` +
      `${this.advice} initdb said:\n${this.logTail}`
  }
}

/** The server ended, or did not answer in time, while it was being started. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  folder: Schema.String,
  reason: Schema.String,
  logFile: Schema.String,
  logTail: Schema.String
}) {
  override get message() {
    return `PostgreSQL did not start on ${this.folder}: ${this.reason}. ` +
      `The whole log is in ${this.logFile}; its end:\n${this.logTail}`
  }
}

/** The port that was asked for is taken (only when a certain port was asked for). */
export class PortTaken extends Schema.TaggedError<PortTaken>()("PortTaken", { port: Schema.Int }) {
  override get message() {
    return `Port ${this.port} of 127.0.0.1 is taken. Free it, or leave the port out to have a free one picked.`
  }
}

/** The running server ended though nobody had asked it to. */
export class ServerDied extends Schema.TaggedError<ServerDied>()("ServerDied", {
  pid: Schema.Int,
  logFile: Schema.String
}) {
  override get message() {
    return `The embedded PostgreSQL (process ${this.pid}) ended unexpectedly. ${this.logFile} says why. ` +
      "Start again: what was committed is recovered."
  }
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
