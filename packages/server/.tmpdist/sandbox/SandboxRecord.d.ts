import { SandboxRecorder } from "@hikyaku/cluster/delivery/sandbox/SandboxService";
import { Context, Effect, Layer, Schema } from "effect";
/** The record's name in its folder. */
export declare const recordFile = "provider.ndjson";
declare const RecordBroken_base: Schema.TaggedErrorClass<RecordBroken, "RecordBroken", {
    readonly _tag: Schema.tag<"RecordBroken">;
} & {
    file: typeof Schema.String;
    reason: typeof Schema.String;
}>;
/** The record cannot be written any more (disk full, device lost). */
export declare class RecordBroken extends RecordBroken_base {
}
declare const RecordHealth_base: Context.TagClass<RecordHealth, "@hikyaku/server/sandbox/RecordHealth", Effect.Effect<never, RecordBroken, never>>;
/** Fails when the record cannot be written any more; whoever runs the sandbox ends with it. */
export declare class RecordHealth extends RecordHealth_base {
}
/** The record in this folder, which is created if need be; held by this process alone until the scope closes. */
export declare const layer: (folder: string) => Layer.Layer<RecordHealth | SandboxRecorder, import("../embedded/EmbeddedPostgresError.ts").DataFolderUnusable | import("../embedded/EmbeddedPostgresError.ts").DataInUse, never>;
export {};
//# sourceMappingURL=SandboxRecord.d.ts.map