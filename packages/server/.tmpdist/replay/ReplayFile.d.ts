/**
 * A replay's file as checked bytes: opened once, unpacked if it is gzip (by its magic bytes, not its name), verified to be
 * UTF-8. Both passes of a replay read through the same handle, so that a file replaced under its name changes nothing.
 */
import { ReplayInputError, type ReplayInputFault } from "@hikyaku/domain/replay/ReplayInputError";
import { Effect, type Scope } from "effect";
/** Where in the file something is. */
export interface Place {
    readonly line?: number;
    readonly column?: number;
    readonly byte?: number;
    readonly path?: string;
}
export interface ReplayFile {
    readonly path: string;
    /**
     * The unpacked content from its beginning, without a byte order mark, in chunks of whole characters. Each iteration reads
     * anew. Throws `ReplayInputError`.
     */
    readonly chunks: () => AsyncIterable<Buffer>;
    readonly error: (fault: ReplayInputFault, detail: string, place?: Place) => ReplayInputError;
    /** Fails with `FileChanged` if the file was written to since it was opened. */
    readonly unchanged: Effect.Effect<void, ReplayInputError>;
}
/** What a rejected promise of this module turns into. */
export declare const asReplayInputError: (file: string) => (cause: unknown) => ReplayInputError;
/** Opens a file for as long as the scope lasts. Refuses what is missing, no regular file, or empty. */
export declare const openReplayFile: (path: string) => Effect.Effect<ReplayFile, ReplayInputError, Scope.Scope>;
//# sourceMappingURL=ReplayFile.d.ts.map