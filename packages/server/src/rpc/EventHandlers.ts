/** Events from outside: judged here, then appended to the log, all or none. */
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { EventImport } from "@hikyaku/cluster/marketing/EventImport"
import { EventLog } from "@hikyaku/cluster/marketing/EventLog"
import { Overloaded, Unavailable, Unknown } from "@hikyaku/domain/api/ApiError"
import { type BadInput, badInput } from "@hikyaku/domain/api/BadInput"
import { EventApi } from "@hikyaku/domain/api/EventApi"
import { type Event, internalTypes } from "@hikyaku/domain/marketing/Event"
import { hintFor } from "@hikyaku/domain/marketing/Spelling"
import { Config, type ConfigError, Context, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { stored } from "./Asking.ts"
import { CustomTypes } from "./CustomTypes.ts"

/** After which a call of an import that found no room should be made again, ms. */
const importRetryMs = 1_000
/** How often whoever watches an import is told of its progress, at most. */
const watchEvery = Duration.millis(250)

export interface EventBounds {
  /** How old an event may be when it comes in. Default 400 days: as far back as any cap or segment usually looks. */
  readonly lateMax: Duration.Duration
  /** How far ahead of the shop's clock it may be. Default 5 minutes: clocks differ. */
  readonly aheadMax: Duration.Duration
}

export const eventBoundsDefault: EventBounds = { lateMax: Duration.days(400), aheadMax: Duration.minutes(5) }

export class Bounds extends Context.Reference<Bounds>()("@hikyaku/server/EventBounds", {
  defaultValue: () => eventBoundsDefault
}) {}

/** HIKYAKU_EVENT_LATE_MAX and HIKYAKU_EVENT_AHEAD_MAX, e.g. "400 days". */
export const eventBoundsConfig: Config.Config<EventBounds> = Config.all({
  lateMax: Config.duration("HIKYAKU_EVENT_LATE_MAX").pipe(Config.withDefault(eventBoundsDefault.lateMax)),
  aheadMax: Config.duration("HIKYAKU_EVENT_AHEAD_MAX").pipe(Config.withDefault(eventBoundsDefault.aheadMax))
})
export const layerBounds: Layer.Layer<never, ConfigError.ConfigError> = Layer.effect(
  Bounds,
  eventBoundsConfig
)

type Judge = (event: Event, path: string) => BadInput | null

const judgeTime = (bounds: EventBounds, now: number): Judge => (event, path) => {
  if (event.at > now + Duration.toMillis(bounds.aheadMax)) {
    return badInput(`${path}.at`, `lies ${Math.round((event.at - now) / 1000)} s ahead of the shop's clock`)
  }
  if (event.at < now - Duration.toMillis(bounds.lateMax)) {
    return badInput(`${path}.at`, `is older than ${Duration.format(bounds.lateMax)}`)
  }
  return null
}

const judgeType: Judge = ({ happening }, path) =>
  internalTypes.has(happening._tag)
    ? badInput(`${path}.happening._tag`, `only the shop itself states ${happening._tag} events`)
    : null

/** Custom data against its registered fields; `unregistered` when the type is not known here (yet). */
const judgeCustom =
  (fieldsOf: (type: string) => Readonly<Record<string, string>> | undefined, types: ReadonlyArray<string>): Judge =>
  ({ happening }, path) => {
    if (happening._tag !== "Custom") return null
    const fields = fieldsOf(happening.type)
    if (fields === undefined) {
      const hint = types.length === 0 ? "register it with event.registerCustomType" : hintFor(happening.type, types)
      return badInput(`${path}.happening.type`, `there is no custom type ${happening.type}`, hint)
    }
    for (const [name, value] of Object.entries(happening.data)) {
      const kind = Object.hasOwn(fields, name) ? fields[name] : undefined
      const at = `${path}.happening.data.${name}`
      if (kind === undefined) {
        return badInput(at, `${happening.type} has no such field`, hintFor(name, Object.keys(fields)))
      }
      if (typeof value !== kind) return badInput(at, `must be a ${kind}`)
    }
    return null
  }

const firstFault = (events: ReadonlyArray<Event>, judge: Judge): BadInput | null => {
  for (const [n, event] of events.entries()) {
    const fault = judge(event, `events[${n}]`)
    if (fault !== null) return fault
  }
  return null
}

export const layer = EventApi.toLayer(Effect.gen(function*() {
  const log = yield* EventLog
  const clock = yield* ShopClock
  const imports = yield* EventImport
  const custom = yield* CustomTypes
  const bounds = yield* Bounds

  const judgeAll = (events: ReadonlyArray<Event>) =>
    Effect.gen(function*() {
      const judgeTimes = () => {
        const now = clock.now()
        return firstFault(events, judgeTime(bounds, now))
      }
      const ofTime = judgeTimes()
      // A replay may have moved the clock, or taken it over, since this process last read it.
      if (ofTime !== null) yield* clock.refresh
      const fault = firstFault(events, judgeType) ?? (ofTime === null ? null : judgeTimes())
      if (fault !== null) return yield* fault
      if (firstFault(events, judgeCustom(custom.known, [])) === null) return
      // Another gateway may have registered the type, or the field, since it was last read.
      const types = yield* custom.all
      const still = firstFault(
        events,
        judgeCustom((type) => (Object.hasOwn(types, type) ? types[type] : undefined), Object.keys(types))
      )
      if (still !== null) return yield* still
    })

  const logFault = (error: { readonly reason: string }) =>
    Effect.zipRight(
      Effect.logWarning(`the event log: ${error.reason}`),
      new Unavailable({ reason: "the event log cannot be reached; publish the same events again" })
    )

  const readImport = (id: string) =>
    stored(imports.read(id)).pipe(
      Effect.flatMap((state) =>
        state === null ? Effect.fail(new Unknown({ what: "import", id })) : Effect.succeed({ import: id, ...state })
      )
    )

  return EventApi.of({
    "event.publish": ({ events }) =>
      Effect.zipRight(judgeAll(events), log.append(events)).pipe(Effect.catchTag("EventLogUnavailable", logFault)),
    "event.import": ({ events, firstLine, import: id, last }) =>
      Effect.zipRight(judgeAll(events), imports.take(id, firstLine, events, last === true)).pipe(
        Effect.map((taken) => ({ import: id, ...taken })),
        Effect.catchTags({
          ImportGap: ({ finished, lines }) =>
            finished
              ? badInput("import", `is finished with ${lines} events`, "begin another one under a name of its own")
              : badInput("firstLine", `the import has ${lines} events`, `go on with ${lines + 1}`),
          ImportHeld: () => new Overloaded({ retryAfter: importRetryMs }),
          EventLogUnavailable: logFault,
          SqlError: (error) => stored(Effect.fail(error))
        })
      ),
    "event.readImport": ({ import: id }) => readImport(id),
    "event.watchImport": ({ import: id }) =>
      Stream.repeatEffectWithSchedule(readImport(id), Schedule.spaced(watchEvery)).pipe(
        Stream.changesWith((a, b) => a.lines === b.lines && a.finished === b.finished),
        Stream.takeUntil(({ finished }) => finished)
      ),
    "event.registerCustomType": ({ fields, type }) => custom.register(type, fields),
    "event.customTypes": () =>
      Effect.map(custom.all, (types) => Object.entries(types).map(([type, fields]) => ({ type, fields })))
  })
}))
