/**
 * Requests of registered systems. A system proves itself with its key, of which the store has the hash alone; a request of
 * another system is as unknown to it as one that never was.
 */
import type { SqlError } from "@effect/sql"
import * as ShopClock from "@hikyaku/cluster/actor/ShopClock"
import { DeliveryStore } from "@hikyaku/cluster/delivery/DeliveryStore"
import { type Line, RequestStore, type System } from "@hikyaku/cluster/delivery/RequestStore"
import { ContentDiffers, Unauthorized, Unavailable, Unknown } from "@hikyaku/domain/api/ApiError"
import { badInput } from "@hikyaku/domain/api/BadInput"
import { RequestApi, requestPageMax, type RequestView } from "@hikyaku/domain/api/RequestApi"
import type { RecipientSource } from "@hikyaku/domain/delivery/RecipientSource"
import { predictRequest, recipientOf, type RequestStatus } from "@hikyaku/domain/delivery/Request"
import type { CampaignContent } from "@hikyaku/domain/marketing/Campaign"
import { compileContent, describeFault } from "@hikyaku/domain/marketing/Content"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import { Effect, Either } from "effect"
import { createHash, randomBytes, randomUUID } from "node:crypto"
import { stored } from "./Asking.ts"
import * as RequestSource from "./RequestSource.ts"

/** The account that carries mail. */
const mailAccount = "mail"
/** Bytes of a system's key. */
const keyBytes = 32

const hashOf = (text: string): Uint8Array => createHash("sha256").update(text).digest()

interface Terms {
  readonly key: string
  readonly idempotencyKey: string
  readonly mail: string
  readonly template: string
  readonly class?: "realtime" | "batch" | undefined
  readonly priority?: number | undefined
  readonly parameters?: Attributes | undefined
  readonly sendAt?: number | undefined
  readonly deadline: number
  readonly from?: RecipientSource | undefined
}

const unknownRequest = (id: string) => new Unknown({ what: "request", id })

export const make = Effect.gen(function*() {
  const store = yield* RequestStore
  const deliveries = yield* DeliveryStore
  const clock = yield* ShopClock.ShopClock
  const sources = yield* RequestSource.make
  const ask = <A>(query: Effect.Effect<A, SqlError.SqlError>) => stored(query)

  const systemOf = (key: string) =>
    Effect.flatMap(ask(store.systemOf(hashOf(key))), (system) =>
      system === null
        ? Effect.fail(new Unauthorized({ reason: "no system has this key" }))
        : Effect.succeed(system))

  /** The request, if it is this system's. */
  const ownOf = (system: System, id: string) =>
    Effect.flatMap(
      ask(store.find(id)),
      (view) => view === null || view.system !== system.id ? Effect.fail(unknownRequest(id)) : Effect.succeed(view)
    )
  const found = (id: string) =>
    Effect.flatMap(
      ask(store.find(id)),
      (view) => view === null ? Effect.fail(unknownRequest(id)) : Effect.succeed(view)
    )

  const open = (terms: Terms) =>
    Effect.gen(function*() {
      const system = yield* systemOf(terms.key)
      if (!system.templates.includes(terms.template)) {
        return yield* new Unauthorized({ reason: `${system.id} may not send ${terms.template}` })
      }
      const templateVersion = yield* ask(store.templateVersion(terms.template))
      if (templateVersion === null) return yield* new Unknown({ what: "template", id: terms.template })
      const now = clock.now()
      const sendAt = terms.sendAt ?? now
      const { from, key: _, ...content } = terms
      const hash = createHash("sha256").update(JSON.stringify(content, Object.keys(content).toSorted()))
        .update(JSON.stringify(terms.parameters ?? {}))
      const contentHash = (from === undefined ? hash : hash.update(JSON.stringify(from))).digest("hex")
      const isLate = terms.deadline <= sendAt || terms.deadline <= now
      // A repeat may come when the deadline has passed, or its source is gone; only a new request must be able to go out.
      const isRepeat = (isLate || from !== undefined) &&
        (yield* ask(store.openedBefore(system.id, terms.idempotencyKey))) !== null
      if (isLate && !isRepeat) return yield* badInput("deadline", "after the time of sending, and in the future")
      const source = from === undefined || isRepeat ? null : yield* sources.open(system, from, now)
      const { contentHash: first, view } = yield* ask(store.open({
        id: randomUUID(),
        system: system.id,
        idempotencyKey: terms.idempotencyKey,
        contentHash,
        mail: terms.mail,
        template: terms.template,
        templateVersion,
        class: terms.class ?? system.class,
        priority: terms.priority ?? system.priority,
        parameters: terms.parameters ?? {},
        sendAt,
        deadline: terms.deadline,
        source
      }))
      if (first !== contentHash) return yield* new ContentDiffers({ id: terms.idempotencyKey })
      if (from !== undefined) yield* sources.opened
      return view
    })

  const add = (view: RequestView, firstLine: number, rows: ReadonlyArray<Readonly<Record<string, unknown>>>) =>
    Effect.gen(function*() {
      const lines = rows.map((row, index): Line => {
        const line = firstLine + index
        const recipient = recipientOf(row)
        return Either.isRight(recipient)
          ? { _tag: "Recipient", line, recipient: recipient.right }
          : { _tag: "Broken", line, fault: recipient.left }
      })
      const taken = yield* ask(store.add(view.id, lines, firstLine + rows.length - 1))
      if (taken === null) {
        const now = yield* found(view.id)
        return yield* now.status === "cancelled"
          ? badInput("request", "it was cancelled: it takes no more recipients")
          : now.source !== null
          ? badInput(
            "firstLine",
            `its recipients come from a ${now.source.kind}: only rows that were broken can be sent`
          )
          : badInput("firstLine", `at most ${now.lines + 1}: the rows before it are not here yet`)
      }
      const faults = lines.flatMap((line) => line._tag === "Broken" ? [{ line: line.line, ...line.fault }] : [])
      return { ...taken, faults }
    })

  const outlookOf = (view: RequestView) =>
    Effect.gen(function*() {
      const [{ now, others, own }, speed] = yield* ask(
        Effect.all([store.ahead(view), store.speed(mailAccount)], { concurrency: 2 })
      )
      return predictRequest(speed, {
        recipients: own + sources.rowsLeft(view),
        ahead: others,
        from: Math.max(now, view.sendAt),
        deadline: view.deadline
      })
    })

  /** Moves a request; one that cannot be moved stays as it is, and the answer says so. */
  const move = (id: string, from: ReadonlyArray<RequestStatus>, to: RequestStatus) =>
    Effect.flatMap(
      ask(store.move(id, from, to)),
      (status) => status === null ? Effect.fail(unknownRequest(id)) : Effect.succeed(status)
    )

  const submit = (view: RequestView) =>
    Effect.gen(function*() {
      const status = yield* move(view.id, ["open"], "accepted")
      const request = { ...(yield* found(view.id)), status }
      return { request, outlook: yield* outlookOf(request) }
    })

  const owned = (key: string, id: string) => Effect.flatMap(systemOf(key), (system) => ownOf(system, id))

  return {
    "request.registerSystem": ({ class: cls, priority, segments, system, tables, templates }: {
      readonly system: string
      readonly templates: ReadonlyArray<string>
      readonly class?: "realtime" | "batch" | undefined
      readonly priority?: number | undefined
      readonly tables?: ReadonlyArray<string> | undefined
      readonly segments?: boolean | undefined
    }) =>
      Effect.gen(function*() {
        const key = randomBytes(keyBytes).toString("base64url")
        yield* ask(store.saveSystem(
          {
            id: system,
            templates,
            class: cls ?? "batch",
            priority: priority ?? 0,
            tables: tables ?? [],
            segments: segments ?? false
          },
          hashOf(key)
        ))
        return { system, key }
      }),
    "request.registerTable": sources.registerTable,
    "request.saveTemplate": ({ content, template }: { readonly template: string; readonly content: CampaignContent }) =>
      Effect.gen(function*() {
        for (const language of ["ja", "en"] as const) {
          const fields = content[language]?.mail
          if (fields === undefined) continue
          const compiled = compileContent("mail", fields)
          if (Either.isLeft(compiled)) {
            return yield* badInput(`content.${language}.mail`, compiled.left.map(describeFault).join("; "))
          }
        }
        if (content.ja?.mail === undefined && content.en?.mail === undefined) {
          return yield* badInput("content", "a mail in at least one language")
        }
        return { template, version: yield* ask(store.saveTemplate(template, content)) }
      }),
    "request.open": open,
    "request.add": ({ firstLine, key, request, rows }: {
      readonly key: string
      readonly request: string
      readonly firstLine: number
      readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>
    }) => Effect.flatMap(owned(key, request), (view) => add(view, firstLine, rows)),
    "request.submit": ({ key, request }: { readonly key: string; readonly request: string }) =>
      Effect.flatMap(owned(key, request), submit),
    "request.send": ({ recipients = [], ...terms }: Terms & {
      readonly recipients?: ReadonlyArray<Readonly<Record<string, unknown>>> | undefined
    }) =>
      Effect.gen(function*() {
        if (terms.from !== undefined && recipients.length > 0) {
          return yield* badInput("recipients", "give rows, or where to take them from, not both")
        }
        const view = yield* open(terms)
        const { faults } = recipients.length === 0 ? { faults: [] } : yield* add(view, 1, recipients)
        return { ...(yield* submit(view)), faults }
      }),
    "request.read": ({ request }: { readonly request: string }) =>
      Effect.gen(function*() {
        const view = yield* found(request)
        const [tally, outlook] = yield* Effect.all([ask(store.tally(request)), outlookOf(view)], { concurrency: 2 })
        const zero = { due: 0, listed: 0, sent: 0, failed: 0, expired: 0, suppressed: 0, unknown: 0 }
        return { request: view, outlook, deliveries: { ...zero, ...tally } }
      }),
    "request.list": ({ limit, status, system }: {
      readonly system?: string | undefined
      readonly status?: RequestStatus | undefined
      readonly limit?: number | undefined
    }) => ask(store.list({ system: system ?? null, status: status ?? null, limit: limit ?? requestPageMax / 10 })),
    "request.faults": ({ after, limit, request }: {
      readonly request: string
      readonly after?: number | undefined
      readonly limit?: number | undefined
    }) => Effect.zipRight(found(request), ask(store.faults(request, after ?? 0, limit ?? requestPageMax))),
    "request.mend": ({ after, key, request }: {
      readonly key: string
      readonly request: string
      readonly after?: number | undefined
    }) => Effect.flatMap(owned(key, request), (view) => sources.mend(view, after ?? 0)),
    "request.pause": ({ key, request }: { readonly key: string; readonly request: string }) =>
      Effect.zipRight(owned(key, request), move(request, ["accepted"], "paused")).pipe(
        Effect.map((status) => ({ status, deliveries: 0 }))
      ),
    "request.resume": ({ key, request }: { readonly key: string; readonly request: string }) =>
      Effect.zipRight(owned(key, request), move(request, ["paused"], "accepted")).pipe(
        Effect.map((status) => ({ status, deliveries: 0 }))
      ),
    "request.cancel": ({ key, request }: { readonly key: string; readonly request: string }) =>
      Effect.gen(function*() {
        yield* owned(key, request)
        const status = yield* move(request, ["open", "accepted", "paused"], "cancelled")
        // After it, so that what was listed meanwhile is found too.
        const withdrawn = yield* Effect.mapError(
          deliveries.sweepCancelled(request),
          ({ reason }) => new Unavailable({ reason: `it is cancelled; not all of it is withdrawn yet: ${reason}` })
        )
        return { status, deliveries: withdrawn }
      }),
    "request.retry": ({ deadline, key, request }: {
      readonly key: string
      readonly request: string
      readonly deadline: number
    }) =>
      Effect.gen(function*() {
        const view = yield* owned(key, request)
        if (deadline <= clock.now()) return yield* badInput("deadline", "in the future")
        return { status: view.status, deliveries: yield* ask(store.retry(request, deadline)) }
      })
  }
})

export const layer = RequestApi.toLayer(Effect.map(make, (handlers) => RequestApi.of(handlers)))
