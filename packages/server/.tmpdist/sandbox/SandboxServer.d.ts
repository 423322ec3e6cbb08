/**
 * The provider sandbox over HTTP: a bulk mail provider to try Hikyaku against, whose own record says whether it was treated
 * well. JSON; described with examples in docs/sandbox.md.
 *
 *     POST /v1/lists               upload a list          201 {uploadId}
 *     POST /v1/lists/:id/send      start its delivery     202 {sendId}
 *     GET  /v1/sends/:id           status                 200 {state, results}
 *     GET  /v1/history?...         what it knows          200 {lists, sends, deliveries, next?}
 *     POST /v1/history             the same, for long questions
 *
 *     GET  /v1/report              counts, limits, violations, duplicates, utilisation
 *     GET  /v1/report/requests     each request's start and end (?after=n)
 *     GET  /v1/report/mails        how often each address got each mail (?from=position)
 *     GET  /v1/settings            PUT: change some of them
 *     POST /v1/reset               forget lists, sends and tallies
 *
 * Refusals: 4xx {"error": {reason, where}}; 429 with `Retry-After` and `error.retryAfterMs`. Only the first five are the
 * provider's and count; a request begins to count when its headers are here and ends when its answer goes to the socket.
 */
import { HttpServer } from "@effect/platform";
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl";
import { SandboxService } from "@hikyaku/cluster/delivery/sandbox/SandboxService";
import { Layer, Redacted } from "effect";
export interface SandboxServerConfig {
    /** Loopback unless somebody means otherwise. */
    readonly host: string;
    /** 0: any free one. */
    readonly port: number;
    /** Demanded as `Authorization: Bearer` of every request; "": none is. */
    readonly apiKey: Redacted.Redacted;
}
/** Largest body in bytes: 10,000 recipients with 6 KB each. */
export declare const bodyBytesMax: number;
/** Most connections at one time. */
export declare const connectionsMax = 1024;
/** Serves the sandbox; the address is that of the `HttpServer` which it provides. */
export declare const layer: (config: SandboxServerConfig) => Layer.Layer<HttpServer.HttpServer, import("@effect/platform/HttpServerError").ServeError, SandboxControl | SandboxService>;
//# sourceMappingURL=SandboxServer.d.ts.map