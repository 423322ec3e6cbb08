/**
 * Which actors are hot: commands per second of one actor, and its share of what its cell does. Two thresholds and a time
 * between them, so that an actor near one of them does not move back and forth. Plain data; the caller brings the time.
 */
import { Config } from "effect"

export interface HeatSettings {
  /** Commands per second of one actor from which on it may get a cell of its own. */
  readonly hotPerSecond: number
  /** Least share of its cell's commands, 0 to 1: an actor that is alone anyway delays nobody. */
  readonly hotShare: number
  /** Below so many commands per second it may go back. */
  readonly coolPerSecond: number
  /** ms that it must have been below, without a break. */
  readonly coolMs: number
  /** ms over which rates are measured. */
  readonly windowMs: number
  /** Actors of one kind with a cell of their own by rate; operators' marks do not count. */
  readonly hotMax: number
}

export const heatDefaults: HeatSettings = {
  hotPerSecond: 500,
  hotShare: 0.5,
  coolPerSecond: 100,
  coolMs: 60_000,
  windowMs: 5000,
  hotMax: 100
}

/**
 * `HIKYAKU_HOT_PER_SECOND` (500) and `HIKYAKU_HOT_SHARE` (0.5): when a product gets a cell of its own;
 * `HIKYAKU_COOL_PER_SECOND` (100) and `HIKYAKU_COOL_MS` (60,000): when it goes back; `HIKYAKU_HOT_MAX` (100): so many at most.
 */
export const heatConfig: Config.Config<HeatSettings> = Config.all({
  hotPerSecond: Config.withDefault(Config.number("HIKYAKU_HOT_PER_SECOND"), heatDefaults.hotPerSecond),
  hotShare: Config.withDefault(Config.number("HIKYAKU_HOT_SHARE"), heatDefaults.hotShare),
  coolPerSecond: Config.withDefault(Config.number("HIKYAKU_COOL_PER_SECOND"), heatDefaults.coolPerSecond),
  coolMs: Config.withDefault(Config.number("HIKYAKU_COOL_MS"), heatDefaults.coolMs),
  windowMs: Config.succeed(heatDefaults.windowMs),
  hotMax: Config.withDefault(Config.integer("HIKYAKU_HOT_MAX"), heatDefaults.hotMax)
}).pipe(
  Config.validate({
    message: "HIKYAKU_COOL_PER_SECOND must be below HIKYAKU_HOT_PER_SECOND, or products would move back and forth",
    validation: ({ coolPerSecond, hotPerSecond }) => coolPerSecond < hotPerSecond
  })
)

/** Actors that a gauge tells apart between two looks; what others do counts for the cell alone. */
const gaugeMax = 10_000

/** Counts a cell's commands between two looks. */
export class HeatGauge {
  private counts = new Map<string, number>()
  private total = 0

  count(actor: string, commands: number): void {
    this.total += commands
    const known = this.counts.get(actor)
    if (known !== undefined || this.counts.size < gaugeMax) this.counts.set(actor, (known ?? 0) + commands)
  }

  /** What was counted since the last look. */
  take(): HeatCount {
    const { counts, total } = this
    this.counts = new Map()
    this.total = 0
    return { counts, total }
  }
}

export interface HeatCount {
  readonly counts: ReadonlyMap<string, number>
  readonly total: number
}

interface Warm {
  /** Commands of the actor and of its cell, in ms of the window that they fell into. */
  readonly looks: Array<{ readonly at: number; readonly own: number; readonly cell: number }>
}

export class HeatJudge {
  private readonly settings: HeatSettings
  /** Actors that have been busy within the window. */
  private readonly warm = new Map<string, Warm>()
  /** Since when (ms) an actor with a cell of its own has been cool. */
  private readonly coolSince = new Map<string, number>()
  private lastLook: number | null = null

  constructor(settings: HeatSettings) {
    this.settings = settings
  }

  /**
   * What a look at one shared cell and those before it say: actors that are hot, hottest first. `elapsed` is the time that
   * the count covers, ms.
   */
  hot(count: HeatCount, now: number, elapsed: number): ReadonlyArray<string> {
    const { hotPerSecond, hotShare, windowMs } = this.settings
    const found: Array<{ readonly actor: string; readonly own: number }> = []
    for (const [actor, own] of count.counts) {
      // A hot actor is above a quarter of the rate in each look; the others are not worth remembering.
      if (own * 1000 < hotPerSecond * elapsed / 4) {
        this.warm.delete(actor)
        continue
      }
      const known = this.warm.get(actor) ?? { looks: [] }
      this.warm.set(actor, known)
      known.looks.push({ at: now, own, cell: count.total })
      while (known.looks.length > 0 && known.looks[0]!.at <= now - windowMs) known.looks.shift()
      const sum = known.looks.reduce((all, look) => ({ own: all.own + look.own, cell: all.cell + look.cell }), {
        own: 0,
        cell: 0
      })
      // Over the whole window: one burst is no rush.
      if (sum.own * 1000 >= hotPerSecond * windowMs && sum.own >= hotShare * sum.cell) {
        found.push({ actor, own: sum.own })
      }
    }
    return found.sort((x, y) => y.own - x.own).map(({ actor }) => actor)
  }

  /** Whether an actor with a cell of its own, `own` commands in the last `elapsed` ms, has been cool for long enough. */
  cool(actor: string, own: number, now: number, elapsed: number): boolean {
    if (own * 1000 >= this.settings.coolPerSecond * elapsed) {
      this.coolSince.delete(actor)
      return false
    }
    const since = this.coolSince.get(actor)
    if (since === undefined) {
      this.coolSince.set(actor, now)
      return false
    }
    return now - since >= this.settings.coolMs
  }

  /** ms since the last look; the first says 0, and nothing is to be judged by it. */
  look(now: number): number {
    const elapsed = this.lastLook === null ? 0 : now - this.lastLook
    this.lastLook = now
    return elapsed
  }

  /** Forgets everybody who is not among these: what moved away or cooled down is not remembered for ever. */
  retain(placed: ReadonlySet<string>, now: number): void {
    for (const [actor] of this.coolSince) if (!placed.has(actor)) this.coolSince.delete(actor)
    for (const [actor, { looks }] of this.warm) {
      if ((looks.at(-1)?.at ?? 0) <= now - this.settings.windowMs) this.warm.delete(actor)
    }
  }
}
