import { bounded, overdueCode, shutdownMax } from "@hikyaku/server/Shutdown"
import { Duration, Effect } from "effect"
import { EventEmitter } from "node:events"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"

class FakeProcess extends EventEmitter {
  readonly codes: Array<number> = []
  exit = (code: number) => this.codes.push(code)
}

describe("G14: a process that is told to end", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("is gone after the bound, counted from the first signal, whatever has not ended", () => {
    const process = new FakeProcess()
    Effect.runSync(bounded(process))
    const max = Duration.toMillis(shutdownMax)
    vi.advanceTimersByTime(10 * max)
    process.emit("SIGTERM")
    vi.advanceTimersByTime(max / 2)
    process.emit("SIGINT")
    vi.advanceTimersByTime(max / 2 - 1)
    expect(process.codes).toEqual([])
    vi.advanceTimersByTime(1)
    expect(process.codes).toEqual([overdueCode])
  })
})
