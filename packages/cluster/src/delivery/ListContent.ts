/**
 * Contents of lists that wait for a slot: rendered ahead of their turn, so that no slot waits for a template, and only for
 * the few lists that are made in advance, so that memory stays small. Nothing here is the only copy of anything: what is
 * lost is rendered again from the deliveries.
 */
import { listStep } from "@hikyaku/domain/delivery/List"
import { Clock, Duration, Effect, Either, Schema } from "effect"
import { DeliveryStore, type ListedDelivery, type ListKey, type OpenList, type StoreFault } from "./DeliveryStore.ts"
import { type ListContent, Provider, type Recipient } from "./Provider.ts"

/** Content cannot be made at the moment (a store does not answer): tried again later. */
export class ContentUnavailable
  extends Schema.TaggedError<ContentUnavailable>()("ContentUnavailable", { reason: Schema.String })
{}

/** One message's content; `Unrenderable`: the template fails for this recipient, and will fail again. */
export type Rendering =
  | ({ readonly _tag: "Rendered" } & Pick<Recipient, "subject" | "content" | "parameters">)
  | { readonly _tag: "Unrenderable"; readonly reason: string }

/** Makes the contents of deliveries of one campaign version and channel: one rendering each, in their order. */
export type Render = (key: ListKey, deliveries: ReadonlyArray<ListedDelivery>) => Effect.Effect<
  { readonly template?: string | undefined; readonly renderings: ReadonlyArray<Rendering> },
  ContentUnavailable
>

/** Deliveries rendered at a stretch; then others get their turn. */
const chunk = 50

/** How long a list rests whose content could not be made. */
const failureRest = Duration.seconds(1)

const recipientOf = (
  delivery: ListedDelivery,
  rendering: Extract<Rendering, { readonly _tag: "Rendered" }>,
  mailKey: string
): Recipient => {
  const { content, parameters, subject } = rendering
  return {
    deliveryId: delivery.delivery,
    address: delivery.address,
    ...(delivery.run !== mailKey && { mailKey: delivery.run }),
    ...(subject !== undefined && { subject }),
    ...(content !== undefined && { content }),
    ...(parameters !== undefined && { parameters })
  }
}

/** What a list consists of, and who cannot be rendered. */
export const recipientsOf = (render: Render, list: OpenList, deliveries: ReadonlyArray<ListedDelivery>) =>
  Effect.gen(function*() {
    // The mail that a recipient gets at most once is the run's (G10).
    const mailKey = deliveries[0]?.run ?? list.id
    const recipients: Array<Recipient> = []
    const bad: Array<{ readonly delivery: string; readonly reason: string }> = []
    let template: string | undefined
    for (let from = 0; from < deliveries.length; from += chunk) {
      const part = deliveries.slice(from, from + chunk)
      const rendered = yield* render(list, part)
      template = rendered.template
      for (const [index, delivery] of part.entries()) {
        const rendering = rendered.renderings[index]
        if (rendering?._tag === "Rendered") recipients.push(recipientOf(delivery, rendering, mailKey))
        else bad.push({ delivery: delivery.delivery, reason: `content: ${rendering?.reason ?? "none was made"}` })
      }
      if (from + chunk < deliveries.length) yield* Effect.yieldNow()
    }
    return { bad, mailKey, recipients, template }
  })

export interface ListContents {
  readonly get: (list: string) => ListContent | undefined
  readonly isPreparing: (list: string) => boolean
  /** Whether a list has no content, none under way, and did not fail just now. */
  readonly isWanting: (list: string) => boolean
  /** Renders a list; whoever cannot be rendered is taken out of it. Nothing when it is at it already. */
  readonly prepare: (list: OpenList, deliveries?: ReadonlyArray<ListedDelivery>) => Effect.Effect<void>
  readonly forget: (list: string) => void
}

export const makeContents = (render: Render) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const provider = yield* Provider
    const ready = new Map<string, ListContent>()
    const preparing = new Set<string>()
    const failedAt = new Map<string, number>()
    const clock = yield* Clock.clockWith(Effect.succeed)

    const make = (
      list: OpenList,
      given: ReadonlyArray<ListedDelivery> | undefined
    ): Effect.Effect<void, StoreFault | ContentUnavailable> =>
      Effect.gen(function*() {
        const deliveries = given ?? (yield* store.deliveries(list.id))
        const { bad, mailKey, recipients, template } = yield* recipientsOf(render, list, deliveries)
        if (bad.length > 0) yield* store.dropFromList(list.id, bad)
        if (recipients.length === 0) {
          const to = listStep(list.state, { _tag: "Emptied" })
          if (to !== null) yield* store.change({ id: list.id, from: list.state, to })
          return
        }
        const content: ListContent = {
          listId: list.id,
          channel: list.channel,
          mailKey,
          recipients,
          ...(template !== undefined && { template })
        }
        if (provider.prepareList !== undefined) yield* provider.prepareList(content)
        ready.set(list.id, content)
      })

    const contents: ListContents = {
      get: (list) => ready.get(list),
      isPreparing: (list) => preparing.has(list),
      isWanting: (list) =>
        !ready.has(list) && !preparing.has(list) &&
        clock.unsafeCurrentTimeMillis() >=
          (failedAt.get(list) ?? Number.NEGATIVE_INFINITY) + Duration.toMillis(failureRest),
      prepare: (list, deliveries) =>
        Effect.suspend(() => {
          if (preparing.has(list.id) || ready.has(list.id)) return Effect.void
          preparing.add(list.id)
          return make(list, deliveries).pipe(
            // A renderer that breaks on one list holds up no other.
            Effect.catchAllDefect((defect) => new ContentUnavailable({ reason: String(defect) })),
            Effect.either,
            Effect.flatMap((made) =>
              Either.isLeft(made)
                ? Effect.logWarning("A list's content could not be made; it will be tried again", made.left).pipe(
                  Effect.annotateLogs({ list: list.id }),
                  Effect.zipRight(Effect.sync(() => failedAt.set(list.id, clock.unsafeCurrentTimeMillis())))
                )
                : Effect.void
            ),
            Effect.ensuring(Effect.sync(() => preparing.delete(list.id)))
          )
        }),
      forget: (list) => {
        ready.delete(list)
        failedAt.delete(list)
      }
    }
    return contents
  })
