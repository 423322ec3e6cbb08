/**
 * Sampling at the head of a trace: whether a trace is recorded is decided once, where it begins, and holds for all that
 * belongs to it, in whatever process. What is not recorded costs next to nothing.
 */
import { Option, Tracer } from "effect"

export interface HeadSamplingOptions {
  /** Share of traces that are recorded, 0 to 1. */
  readonly ratio: number
  /** Which spans may begin a trace, by name; others are recorded only as parts of one. */
  readonly heads: (name: string) => boolean
  /** A number in [0, 1). */
  readonly random: () => number
}

const noAttributes: ReadonlyMap<string, unknown> = new Map()
const nothing = (): void => {}

/** Records with `tracer` what is sampled, and nothing else. */
export const headSampled = (
  tracer: Tracer.Tracer,
  { heads, random, ratio }: HeadSamplingOptions
): Tracer.Tracer =>
  Tracer.make({
    context: (f, fiber) => tracer.context(f, fiber),
    span: (name, parent, context, links, startTime, kind, options) => {
      const sampled = Option.isSome(parent) ? parent.value.sampled : heads(name) && random() < ratio
      if (sampled) return tracer.span(name, parent, context, links, startTime, kind, options)
      return {
        _tag: "Span",
        name,
        spanId: "0000000000000000",
        traceId: "00000000000000000000000000000000",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: noAttributes,
        links,
        sampled: false,
        kind,
        end: nothing,
        attribute: nothing,
        event: nothing,
        addLinks: nothing
      }
    }
  })
