/** A provider account as tests talk to it: the decider and its state, real time as the test says. */
import { run } from "@hikyaku/domain/Actor"
import type { ProviderCommand, ProviderReply, SlotEnd, SlotRequest } from "@hikyaku/domain/delivery/ProviderCommand"
import { providerDecider } from "@hikyaku/domain/delivery/ProviderDecider"
import type { ProviderState } from "@hikyaku/domain/delivery/ProviderState"
import { type Bounds, type Limits, unbounded } from "@hikyaku/domain/delivery/RateLimit"

export const limitsOf = (concurrency: Partial<Bounds>, perSecond: Partial<Bounds> = {}, marginMs = 0): Limits => ({
  concurrency: { ...unbounded, ...concurrency },
  perSecond: { ...unbounded, ...perSecond },
  marginMs
})

/** A request that started and was answered at `wall`. */
export const end = (id: string, wall: number, of: Partial<SlotEnd> = {}): SlotEnd => ({
  id,
  startedBy: wall,
  busyForMs: 0,
  throttledForMs: null,
  ...of
})

export class Account {
  state: ProviderState = providerDecider.initial("mail")
  /** Without limits nobody takes it over; without an owner nobody has yet. */
  constructor(limits: Limits | null, private readonly owner: string | null = "a", wall = 0) {
    if (limits === null) return
    this.send({ _tag: "Configure", limits })
    if (owner !== null) this.send({ _tag: "Takeover", owner, wall })
  }
  send(command: ProviderCommand): ProviderReply {
    const { decision, state } = run(providerDecider, this.state, command, 0)
    this.state = state
    return decision.reply
  }
  acquire(
    wall: number,
    requests: ReadonlyArray<SlotRequest>,
    ended: ReadonlyArray<SlotEnd> = [],
    owner = this.owner ?? ""
  ): ProviderReply {
    return this.send({ _tag: "AcquireSlots", owner, wall, ended, requests })
  }
  /** The ids of the requests that are granted. */
  granted(
    wall: number,
    requests: ReadonlyArray<SlotRequest>,
    ended: ReadonlyArray<SlotEnd> = [],
    owner = this.owner ?? ""
  ): ReadonlyArray<string> {
    const reply = this.acquire(wall, requests, ended, owner)
    return reply._tag === "Granted" ? reply.granted.map((grant) => grant.id) : []
  }
}
