/**
 * Who owns the data: at most one living process at a time. Keyed by the folder that holds
 * the data; written by whoever starts an embedded PostgreSQL on it.
 *
 * A lock file that is removed when its owner is found dead has a gap: two processes may
 * both find it dead, and the second then removes the first one's new lock. So claims are
 * numbered, `owner-1.json`, `owner-2.json`, ...; the highest counts, whoever takes over
 * creates the next number (which only one can), and the highest is never removed, only
 * marked as released.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { DataFolderUnusable, DataInUse } from "./EmbeddedPostgresError.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"
/** `stopping` lets the next start wait for the orderly end instead of being refused. */
declare const Claim: Schema.Struct<{
  owner: typeof ProcessIdentity.ProcessIdentity
  state: Schema.Literal<["running", "stopping", "released"]>
}>
type Claim = typeof Claim.Type
/** The living process that owns the folder, if any. */
export declare const livingOwner: (folder: string) => Effect.Effect<Option.Option<Claim>, DataFolderUnusable>
/** A claim that is held. */
export interface OwnerClaim {
  /** Tells the next start that the end is near; called first thing when stopping. */
  readonly stopping: Effect.Effect<void>
}
/**
 * Takes the folder for this process until the scope closes. Refused with `DataInUse` while
 * another living process (a frozen one included) owns it; waits for one that is stopping.
 */
export declare const acquire: (folder: string) => Effect.Effect<OwnerClaim, DataFolderUnusable | DataInUse, Scope.Scope>
export {}
// # sourceMappingURL=OwnerClaim.d.ts.map
