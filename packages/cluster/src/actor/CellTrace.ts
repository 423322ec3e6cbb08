/**
 * The cell's part of a trace: how long a sampled command waited, how long its round was decided and committed. Commands that
 * are not sampled cost nothing here.
 */
import { Context, Exit, Option, Tracer } from "effect"
import type { TraceContext } from "./Wire.ts"

/** A sampled command at its cell; the instant is monotonic ms. */
export interface Traced extends TraceContext {
  readonly arrivedAt: number
}

/** A round's instants, monotonic ms. */
export interface RoundTimes {
  readonly taken: number
  readonly decided: number
  readonly committed: number
}

/** Records a round that was committed, for the sampled commands in it; `commands`: how many there were in all. */
export type CellTrace = (sampled: ReadonlyArray<Traced>, times: RoundTimes, commands: number) => void

const attach = ({ spanId, traceId }: TraceContext): Tracer.ExternalSpan =>
  Tracer.externalSpan({ spanId, traceId, sampled: true })

/**
 * Records spans with a tracer: per command `wait` and `decide`, per round one `commit`, which belongs to the first of the
 * commands and is linked to all of them.
 */
export const make = (
  tracer: Tracer.Tracer,
  cell: string,
  clock: { readonly monotonic: () => number; readonly nanos: () => bigint }
): CellTrace =>
(sampled, times, commands) => {
  const [now, nanos] = [clock.monotonic(), clock.nanos()]
  const at = (monotonic: number): bigint => nanos - BigInt(Math.round((now - monotonic) * 1e6))
  const record = (
    name: string,
    parent: TraceContext,
    from: number,
    to: number,
    links: ReadonlyArray<Tracer.SpanLink> = []
  ) => {
    const span = tracer.span(name, Option.some(attach(parent)), Context.empty(), links, at(from), "internal")
    span.attribute("hikyaku.cell", cell)
    span.attribute("hikyaku.round.commands", commands)
    span.end(at(to), Exit.void)
  }
  for (const command of sampled) {
    record("cell.wait", command, command.arrivedAt, times.taken)
    record("cell.decide", command, times.taken, times.decided)
  }
  const first = sampled[0]
  if (first === undefined) return
  const links = sampled.map((command): Tracer.SpanLink => ({ _tag: "SpanLink", span: attach(command), attributes: {} }))
  record("cell.commit", first, times.decided, times.committed, links)
}
