/** NDJSON of our own events or steps. Strict throughout: whoever wrote these lines can write them again. */
import { type Step } from "@hikyaku/domain/replay/Step";
import type { ReplayFile } from "./ReplayFile.ts";
/** Bytes of one line. */
export declare const lineBytesMax: number;
/**
 * Batches of steps, one per line, at most `limit`. Throws `ReplayInputError`: for a line that is no step or event, one that
 * is earlier than the line before, an opening after the first step that is none.
 */
export declare function ndjsonSteps(file: ReplayFile, limit: number): AsyncGenerator<ReadonlyArray<Step>, void, undefined>;
//# sourceMappingURL=NdjsonSteps.d.ts.map