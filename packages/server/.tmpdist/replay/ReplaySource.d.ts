import { type GeneratedShopInput } from "@hikyaku/domain/replay/GeneratedShopOptions";
import { type UnusableReason } from "@hikyaku/domain/replay/OnlineRetailRow";
import { ReplayInputError } from "@hikyaku/domain/replay/ReplayInputError";
import type { Step } from "@hikyaku/domain/replay/Step";
import { Effect, type Scope, Stream } from "effect";
/** How far a run of the stream has come. `lines` = `used` + the sum of `unusable`. */
export interface ReplayProgress {
    readonly lines: number;
    readonly used: number;
    readonly unusable: Readonly<Partial<Record<UnusableReason, number>>>;
}
export interface ReplaySource {
    readonly format: "online-retail" | "ndjson" | "generated";
    /** The file's path, or the seed. */
    readonly name: string;
    /** Lines that the stream reads (a generated shop: steps), for a progress bar. */
    readonly lines: number;
    /** What the steps contain that the source does not: to be told wherever results are shown. */
    readonly derived: ReadonlyArray<string>;
    /**
     * The steps: openings first, instants never backwards, ids the same in every run. One run at a time; each starts from the
     * beginning. Fails with `FileChanged` if the file was written to meanwhile.
     */
    readonly stream: Stream.Stream<Step, ReplayInputError>;
    /** Of the latest run. */
    readonly progress: Effect.Effect<ReplayProgress>;
    /** Lines that could not be used so far in the latest run, by reason. */
    readonly unusable: Effect.Effect<ReplayProgress["unusable"]>;
}
/** Opens a file for as long as the scope lasts. `limit` bounds its lines (CSV: without the header; NDJSON: without empty ones). */
export declare const fromFile: (path: string, options?: {
    readonly limit?: number | undefined;
}) => Effect.Effect<ReplaySource, ReplayInputError, Scope.Scope>;
/** A shop from a seed; sizes that are left out are those of `GeneratedShopOptions`. */
export declare const generated: (input?: GeneratedShopInput) => Effect.Effect<ReplaySource, ReplayInputError>;
//# sourceMappingURL=ReplaySource.d.ts.map