import { RequestRefused, type SandboxRequest } from "@hikyaku/cluster/delivery/sandbox/Sandbox";
import { Either } from "effect";
type Read<A> = Either.Either<A, RequestRefused>;
/** Body of `POST /v1/lists`. */
export declare const readUpload: (text: string, keyHeader: string | undefined) => Read<SandboxRequest>;
/** `POST /v1/lists/:id/send`. */
export declare const readSend: (uploadId: string, keyHeader: string | undefined) => Read<SandboxRequest>;
/** `GET /v1/sends/:id`. */
export declare const readStatus: (sendId: string) => Read<SandboxRequest>;
/** Body of `POST /v1/history`. */
export declare const readHistory: (text: string) => Read<SandboxRequest>;
/** Parameters of `GET /v1/history`, for people: `deliveryId` and `address` may be repeated. */
export declare const readHistoryParameters: (parameters: URLSearchParams) => Read<SandboxRequest>;
export {};
//# sourceMappingURL=SandboxInput.d.ts.map