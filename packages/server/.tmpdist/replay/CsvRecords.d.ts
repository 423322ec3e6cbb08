import type { ReplayFile } from "./ReplayFile.ts";
/** Bytes of one record; a quote that is never closed would otherwise take in the rest of the file. */
export declare const recordBytesMax: number;
/**
 * Batches of records, each with the fields of `columns` in that order; other columns are left out. At most `limit` records
 * (the header does not count); what comes after them is not looked at. Throws `ReplayInputError`.
 */
export declare function csvRecords(file: ReplayFile, columns: ReadonlyArray<string>, limit: number): AsyncGenerator<ReadonlyArray<ReadonlyArray<string>>, void, undefined>;
//# sourceMappingURL=CsvRecords.d.ts.map