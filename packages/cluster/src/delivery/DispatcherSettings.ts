/** How a dispatcher works: every size, wait and share, with its default. Read from configuration, one set per account. */
import type { Limits } from "@hikyaku/domain/delivery/RateLimit"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import { Config } from "effect"

export interface DispatcherSettings {
  /** Id of the provider account, and of its Provider actor. */
  readonly account: string
  /** Channels that this account carries; a channel belongs to one account. */
  readonly channels: ReadonlyArray<Channel>
  /** Limits for an account that has none yet; later ones are set at run time and kept. Null: wait until some are set. */
  readonly limits: Limits | null
  /** Recipients in one list, at most; the provider's own limit holds as well. */
  readonly listSize: number
  /** Lists per class that are made and rendered before a slot is free for them; more where there are many places. */
  readonly ahead: number
  /**
   * Requests that are made ready, slot and all, while there is no place for them yet, and the same number again of realtime
   * ones; at most two per place. As many as end while a turn lasts keep every place in use.
   */
  readonly ready: number
  /** Least part of the contested starts that batch gets, 0 to 1. */
  readonly batchShare: number
  /** After so many ms of waiting a request goes before others of its class with nearer deadlines. */
  readonly ageMs: number
  /** From asking for a slot to the first byte of its request, ms; a request that misses it gives the slot back. */
  readonly leaseMs: number
  /** How often the dispatcher looks for something due when nothing wakes it, ms. */
  readonly idleMs: number
  /**
   * The same while it has nothing at all to do and is told of what becomes due: how late it may be when the telling is lost,
   * or when time alone makes something due, ms.
   */
  readonly quietMs: number
  /**
   * How long turns gather what happens while the places are supplied, ms, unless realtime is concerned: a turn costs the same
   * for one request's end as for many.
   */
  readonly gatherMs: number
  /** First and longest wait before a send's status is asked (again), ms; doubled in between. */
  readonly statusFirstMs: number
  readonly statusMaxMs: number
  /** After so many questions a send that is not completed is looked up in the provider's history as well. */
  readonly pollsMax: number
  /** First and longest wait before a request that could not be made is tried again, ms; doubled in between. */
  readonly retryFirstMs: number
  readonly retryMaxMs: number
  /**
   * How long a dispatcher that has just come leaves the account to the one before it, at the most, while that one is at work,
   * ms. It rehearses meanwhile (see `Rehearsal`).
   */
  readonly warmUpMs: number
  /** How long a stopping dispatcher that has something to do dispatches on, at the most, until another takes over, ms. */
  readonly handOverMs: number
  /** How long a stopping dispatcher waits for the answers to its requests, ms. */
  readonly drainMs: number
  /** How often lists of earlier owners are looked for, ms. */
  readonly claimMs: number
  /** How long the relay to the members rests when there is nothing to tell, ms. */
  readonly relayMs: number
}

/** One request at a time: what an account gets of which nothing is known. */
export const cautiousLimits: Limits = {
  concurrency: { ...unbounded, total: 1 },
  perSecond: { ...unbounded, total: 10 },
  marginMs: 100
}

export const dispatcherDefaults: Omit<DispatcherSettings, "account" | "channels"> = {
  limits: cautiousLimits,
  listSize: 1_000,
  ahead: 2,
  ready: 16,
  batchShare: 0.2,
  ageMs: 600_000,
  leaseMs: 2_000,
  idleMs: 50,
  quietMs: 500,
  gatherMs: 25,
  statusFirstMs: 250,
  statusMaxMs: 10_000,
  pollsMax: 20,
  retryFirstMs: 200,
  retryMaxMs: 30_000,
  warmUpMs: 3_000,
  // Beside the other's rehearsal, what it takes until shards have moved.
  handOverMs: 6_000,
  drainMs: 5_000,
  claimMs: 5_000,
  relayMs: 100
}

const ms = (name: string, value: number) => Config.withDefault(Config.integer(name), value)

/**
 * From `DELIVERY_LIST_SIZE`, `DELIVERY_BATCH_SHARE`, `DELIVERY_AGE_MS`, `DELIVERY_LEASE_MS`, `DELIVERY_IDLE_MS`,
 * `DELIVERY_STATUS_FIRST_MS`, `DELIVERY_RELAY_MS`.
 */
export const dispatcherConfig = (
  account: Pick<DispatcherSettings, "account" | "channels" | "limits">
): Config.Config<DispatcherSettings> =>
  Config.all({
    listSize: ms("DELIVERY_LIST_SIZE", dispatcherDefaults.listSize),
    batchShare: Config.withDefault(Config.number("DELIVERY_BATCH_SHARE"), dispatcherDefaults.batchShare),
    ageMs: ms("DELIVERY_AGE_MS", dispatcherDefaults.ageMs),
    leaseMs: ms("DELIVERY_LEASE_MS", dispatcherDefaults.leaseMs),
    idleMs: ms("DELIVERY_IDLE_MS", dispatcherDefaults.idleMs),
    quietMs: ms("DELIVERY_QUIET_MS", dispatcherDefaults.quietMs),
    statusFirstMs: ms("DELIVERY_STATUS_FIRST_MS", dispatcherDefaults.statusFirstMs),
    relayMs: ms("DELIVERY_RELAY_MS", dispatcherDefaults.relayMs)
  }).pipe(Config.map((configured) => ({ ...dispatcherDefaults, ...configured, ...account })))
