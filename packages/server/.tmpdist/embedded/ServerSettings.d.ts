/**
 * The settings that the embedded PostgreSQL runs with. They are given on the command line
 * at every start rather than written into the data, so that a new version of Hikyaku
 * brings its own.
 */
/** Names and values as in postgresql.conf. */
export type ServerSettings = Readonly<Record<string, string>>
/** By this name in its command line we recognise a server that Hikyaku has started. */
export declare const serverName = "hikyaku"
/** The defaults; whoever starts a server may override each. */
export declare const defaults: ServerSettings
/** Whether what was acknowledged survives a power cut. */
export declare const isDurable: (overrides: ServerSettings) => boolean
/** The command line without the port, in a fixed order (two are compared as text). */
export declare const commandLine: (data: string, overrides: ServerSettings) => ReadonlyArray<string>
/** The port as the last argument. */
export declare const portArgument: (port: number) => ReadonlyArray<string>
/** The port in a noted command line, if we gave it. */
export declare const notedPort: (noted: string) => number | undefined
/** Whether the noted command line is one of ours. */
export declare const isOurs: (noted: string) => boolean
/** Whether the noted command line has these arguments, whatever its program's path and port. */
export declare const isSame: (noted: string, args: ReadonlyArray<string>) => boolean
// # sourceMappingURL=ServerSettings.d.ts.map
