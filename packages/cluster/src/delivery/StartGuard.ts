/**
 * How an adapter tells its HTTP client until when a request may start, and how the client tells that nothing was written.
 * Between the adapter's own look at the clock and the first byte lie a wait for a connection and maybe a handshake: a
 * process frozen there would start a request whose slot has long been given away (R20). A client that knows this
 * reference asks again in the turn in which it writes; one that does not is simply less strict.
 */
import { Context, Data } from "effect"

/** `mayStart` is called synchronously right before the first byte is written. */
export class StartGuard extends Context.Reference<StartGuard>()("@hikyaku/cluster/delivery/StartGuard", {
  defaultValue: (): { readonly mayStart: () => boolean } => ({ mayStart: () => true })
}) {}

/** Cause of a client's transport error when not one byte of the request was written. */
export class NothingWritten extends Data.TaggedError("NothingWritten")<{ readonly reason: string }> {}

/** Cause of a client's transport error when the guard said no. */
export class StartRefused extends Data.TaggedError("StartRefused") {}
