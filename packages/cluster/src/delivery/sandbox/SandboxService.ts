/**
 * The sandbox at work: takes each request through its time - arrival, latency, effect, answer - and writes down each step
 * before anybody is told of it. Used in-process by `ProviderMemory` and behind HTTP by the sandbox of the server package.
 */
import { Context, Effect, Either, Fiber, Layer, Schema, type Scope } from "effect"
import { type RequestRefused, Sandbox, type SandboxAnswer, type SandboxRequest, type SendTerms } from "./Sandbox.ts"
import { SandboxControl } from "./SandboxControl.ts"
import type { SandboxEntry, Started } from "./SandboxEntry.ts"
import { reportPageMax } from "./SandboxReport.ts"
import {
  changeSettings,
  type Operation,
  readPatch,
  type SettingsPatch,
  type SettingsRefused
} from "./SandboxSettings.ts"

/** The part of a request's time that is left for its record to become durable, ms: longer, and the request takes longer. */
const recordMs = 10

/** What becomes of a request, as the client sees it. */
export type SandboxReply =
  | { readonly _tag: "Answered"; readonly status: number; readonly body: SandboxAnswer }
  | { readonly _tag: "Refused"; readonly refusal: RequestRefused }
  | { readonly _tag: "Throttled"; readonly retryAfterMs: number }
  /** 500; whether the request was carried out the client cannot tell. */
  | { readonly _tag: "Broken" }
  /** The connection is cut instead of an answer. */
  | { readonly _tag: "Cut" }
  /** No answer ever comes. */
  | { readonly _tag: "HalfOpen" }

/** What was recorded cannot be read: the record was edited, or is of another version. */
export class RecordUnreadable extends Schema.TaggedError<RecordUnreadable>()("RecordUnreadable", {
  /** File and line. */
  where: Schema.String,
  reason: Schema.String
}) {}

/** Where the sandbox writes what happens: memory forgets it, the server keeps it in a file. */
export class SandboxRecorder extends Context.Tag("@hikyaku/cluster/delivery/SandboxRecorder")<SandboxRecorder, {
  /** The entries so far, for the start; each is folded in turn. */
  readonly replay: (each: (entry: SandboxEntry) => void) => Effect.Effect<void, RecordUnreadable>
  /** Appends, at once and in order of the calls. */
  readonly write: (entry: SandboxEntry) => void
  /** Returns when all that was written before is durable. */
  readonly durable: Effect.Effect<void>
}>() {}

export class SandboxService extends Context.Tag("@hikyaku/cluster/delivery/SandboxService")<SandboxService, {
  /**
   * Takes a request through. It counts as arrived when this effect starts; `read` reads the rest of it. Whoever is
   * interrupted here has hung up: the request goes on without him, as it does at a real provider. `send`: of a send, what
   * is known of it when it arrives; so its messages count from then on.
   */
  readonly handle: (
    op: Operation,
    read: Effect.Effect<SandboxRequest, RequestRefused>,
    send?: SendTerms
  ) => Effect.Effect<SandboxReply>
}>() {}

const make = (patch: SettingsPatch) =>
  Effect.gen(function*() {
    const recorder = yield* SandboxRecorder
    const scope: Scope.Scope = yield* Effect.scope
    const clock = yield* Effect.clock
    // Nanoseconds since the epoch fit a double to about 0.0003 ms, which is finer than anything that is measured here.
    const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6

    const sandbox = new Sandbox(now())
    yield* recorder.replay((entry) => sandbox.apply(entry))

    const write = (entry: SandboxEntry) => {
      sandbox.apply(entry)
      recorder.write(entry)
    }
    const configure = (change: SettingsPatch) =>
      Effect.flatMap(readPatch(change), (patch) => {
        const settings = changeSettings(sandbox.settings, patch)
        write({ t: "settings", at: sandbox.instant(now()), settings })
        return Effect.as(recorder.durable, settings)
      })

    write(sandbox.opened(now()))
    yield* configure(patch)

    /** Never early: a timer counts whole milliseconds. */
    const until = (at: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const left = at - now()
        return left > 0 ? Effect.zipRight(Effect.sleep(Math.ceil(left)), until(at)) : Effect.void
      })

    const carryOut = Effect.fnUntraced(
      function*(started: Started, read: Effect.Effect<SandboxRequest, RequestRefused>) {
        const { breach, fault, n } = started
        const finish = (status: number, reply: SandboxReply) =>
          Effect.sync(() => {
            write(sandbox.end(n, status, now()))
            return reply
          })

        if (breach !== undefined) {
          yield* recorder.durable
          return yield* finish(429, { _tag: "Throttled", retryAfterMs: breach.retryAfterMs })
        }
        const request = yield* Effect.either(read)
        if (fault === "throttle") {
          yield* recorder.durable
          return yield* finish(429, { _tag: "Throttled", retryAfterMs: sandbox.settings.retryAfterMs })
        }
        const size = Either.isRight(request) && request.right.op === "upload" ? request.right.recipients.length : 0
        // From its arrival on: to read it and to write down what comes of it take part of it.
        const endsAt = started.at + sandbox.latency(started, size)
        yield* until(endsAt - recordMs)
        const decided = fault === "fail-before"
          ? undefined
          : Either.flatMap(request, (request) => sandbox.decide(n, request, now()))
        if (decided !== undefined && Either.isRight(decided)) decided.right.entries.forEach(write)
        yield* recorder.durable
        yield* until(endsAt)
        if (decided === undefined) return yield* finish(500, { _tag: "Broken" })
        switch (fault) {
          case "fail-after":
            return yield* finish(500, { _tag: "Broken" })
          case "cut":
            return yield* finish(0, { _tag: "Cut" })
          case "half-open":
            return yield* finish(0, { _tag: "HalfOpen" })
        }
        return yield* Either.match(decided, {
          onLeft: (refusal) => finish(refusal.status, { _tag: "Refused", refusal }),
          onRight: ({ answer, status }) => finish(status, { _tag: "Answered", status, body: answer })
        })
      }
    )

    const handle = (op: Operation, read: Effect.Effect<SandboxRequest, RequestRefused>, send?: SendTerms) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const started = sandbox.start(op, now(), send)
          write(started)
          return Effect.flatMap(
            Effect.forkIn(Effect.interruptible(carryOut(started, read)), scope),
            (fiber) => restore(Fiber.join(fiber))
          )
        })
      )

    return Context.make(SandboxService, { handle }).pipe(
      Context.add(SandboxControl, {
        settings: Effect.sync(() => sandbox.settings),
        configure,
        report: Effect.sync(() => sandbox.report(now())),
        requests: (after) => Effect.sync(() => sandbox.requestsSeen(after, reportPageMax)),
        mails: (from) => Effect.sync(() => sandbox.mailsSeen(from, reportPageMax)),
        reset: Effect.suspend(() => {
          write({ t: "reset", at: sandbox.instant(now()) })
          return recorder.durable
        })
      })
    )
  })

/** The sandbox with these changes to the settings last in force (at first: `defaultSettings`). */
export const layer = (
  patch: SettingsPatch = {}
): Layer.Layer<SandboxService | SandboxControl, RecordUnreadable | SettingsRefused, SandboxRecorder> =>
  Layer.scopedContext(make(patch))

/** A recorder that forgets: the sandbox lives as long as its scope. */
export const layerForgetful: Layer.Layer<SandboxRecorder> = Layer.succeed(SandboxRecorder, {
  replay: () => Effect.void,
  write: () => {},
  durable: Effect.void
})
