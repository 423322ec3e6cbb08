/**
 * The settings that the embedded PostgreSQL runs with. They are given on the command line
 * at every start rather than written into the data, so that a new version of Hikyaku
 * brings its own.
 */

/** Names and values as in postgresql.conf. */
export type ServerSettings = Readonly<Record<string, string>>

/** By this name in its command line we recognise a server that Hikyaku has started. */
const serverName = "hikyaku"

/** The defaults; whoever starts a server may override each. */
const defaults: ServerSettings = {
  // Nothing is acknowledged that a power cut could take back (G2).
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  autovacuum: "on",
  // Several runners and gateways with a pool each may share the server.
  max_connections: "200",
  shared_buffers: "256MB",
  // Checkpoints by time rather than by amount: each makes the pages after it be logged in full again.
  max_wal_size: "4GB",
  min_wal_size: "256MB",
  checkpoint_timeout: "15min",
  checkpoint_completion_target: "0.9",
  wal_compression: "on",
  // Statements here are short; compiling them costs more than it gains.
  jit: "off",
  // A statement whose client was killed ends soon, even amid its work.
  client_connection_check_interval: "5s",
  timezone: "UTC",
  log_timezone: "UTC",
  lc_messages: "C",
  password_encryption: "scram-sha-256",
  log_checkpoints: "off",
  log_line_prefix: "%m [%p] "
}

/** What no one may override: the server is reached through loopback alone. */
const fixed: ServerSettings = {
  cluster_name: serverName,
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  logging_collector: "off",
  log_destination: "stderr"
}

/** Whether what was acknowledged survives a power cut. */
export const isDurable = (overrides: ServerSettings): boolean => ({ ...defaults, ...overrides }).fsync !== "off"

/** The command line without the port, in a fixed order (two are compared as text). */
export const commandLine = (data: string, overrides: ServerSettings): ReadonlyArray<string> => [
  "-D",
  data,
  ...Object.entries({ ...defaults, ...overrides, ...fixed })
    .sort(([a], [b]) => a < b ? -1 : 1)
    .flatMap(([name, value]) => ["-c", `${name}=${value}`])
]

/** The port as the last argument. */
export const portArgument = (port: number): ReadonlyArray<string> => ["-c", `port=${port}`]

/*
 * PostgreSQL notes its command line in postmaster.opts: the program's path, then every
 * argument in quotes.
 */
const portPattern = / "-c" "port=(\d+)"$/
const quoted = (args: ReadonlyArray<string>) => args.map((arg) => ` "${arg}"`).join("")

/** The port in a noted command line, if we gave it. */
export const notedPort = (noted: string): number | undefined => {
  const digits = portPattern.exec(noted)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Whether the noted command line is one of ours. */
export const isOurs = (noted: string): boolean => noted.includes(`"cluster_name=${serverName}"`)

/** Whether the noted command line has these arguments, whatever its program's path and port. */
export const isSame = (noted: string, args: ReadonlyArray<string>): boolean =>
  noted.replace(portPattern, "").endsWith(quoted(args))
