/** `SandboxControl` over HTTP: how tests, benches and operators talk to a sandbox that is a process of its own. */
import { HttpClient } from "@effect/platform";
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl";
import { Layer, Redacted } from "effect";
/** The sandbox at this address. */
export declare const layer: (baseUrl: string, apiKey?: Redacted.Redacted) => Layer.Layer<SandboxControl, never, HttpClient.HttpClient>;
//# sourceMappingURL=SandboxClient.d.ts.map