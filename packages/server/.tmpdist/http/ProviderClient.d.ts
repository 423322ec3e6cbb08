/**
 * The HTTP client for requests to providers, which must not start late (R20, G13). It differs from the usual one in three
 * things: a request is given to a connection only when that is open, handshake included; right before its first byte, in
 * the same turn, `StartGuard` is asked whether it may still start; and a failure before that byte is marked as such, so that
 * it is known not to have happened.
 *
 * What remains between the question and the first byte is one call of the operating system: a process frozen in there is
 * what the documented margin of G9 is for.
 */
import { HttpClient } from "@effect/platform";
import { Layer } from "effect";
export interface ProviderClientOptions {
    /** Longest time for a connection, handshake included. Default 3,000 ms. Keep it below the request timeout. */
    readonly connectTimeoutMs?: number;
    /** Most connections to one provider; requests beyond it wait for one. Default 256. */
    readonly connectionsMax?: number;
    /** When an unused connection is closed; shorter than what servers wait, lest both meet. Default 4,000 ms. */
    readonly idleTimeoutMs?: number;
    /** Largest answer in bytes. Default 64 MiB. */
    readonly answerBytesMax?: number;
    /** Certificate authority (PEM) to trust instead of the public ones. */
    readonly ca?: string;
}
/** The client; its connections close with the scope. */
export declare const layer: (options?: ProviderClientOptions) => Layer.Layer<HttpClient.HttpClient>;
//# sourceMappingURL=ProviderClient.d.ts.map