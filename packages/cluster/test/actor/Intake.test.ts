import { Intake, type IntakeLimits, limitsDefault, waitersMax } from "@hikyaku/cluster/actor/Intake"
import type { WireReply } from "@hikyaku/cluster/actor/Wire"
import { describe, expect, it } from "vitest"
import { wire } from "./CellHouse.ts"

const done: WireReply = { _tag: "Reply", reply: {} }

const intake = (limits: Partial<IntakeLimits> = {}) => {
  const intake = new Intake({ ...limitsDefault, ...limits })
  const heard: Array<string> = []
  /** Offers a command named `actor:n`, and writes down what is answered. */
  const offer = (name: string, bytes = 1, now = 0, command = wire(name.split(":")[0]!, name)) => {
    intake.offer(command, bytes, now, (reply) => heard.push(`${name} ${reply._tag}`))
    return command
  }
  const take = (max: number) => intake.take(max)
  const names = (entries: ReturnType<typeof take>) => entries.map(({ command }) => String(command)).join(" ")
  return { intake, heard, offer, take, names }
}

describe("R10: an intake is bounded until replied", () => {
  it("in commands: those in a round count until they are answered", () => {
    const { heard, intake: own, offer, take } = intake({ commandsMax: 3 })
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const round = take(10)
    offer("a:4")
    expect(heard).toEqual(["a:4 Overloaded"])
    own.reply(round[0]!, done)
    offer("a:5")
    expect(heard).toEqual(["a:4 Overloaded", "a:1 Reply"])
    expect([own.size, own.waiting]).toEqual([3, 1])
  })

  it("in bytes", () => {
    const { heard, intake: own, offer, take } = intake({ bytesMax: 100 })
    offer("a:1", 60)
    offer("a:2", 41)
    const [first] = take(1)
    offer("a:3", 40)
    own.reply(first!, done)
    offer("a:4", 60)
    expect(heard).toEqual(["a:2 Overloaded", "a:1 Reply"])
  })

  it("one command that fits nowhere drives nobody out", () => {
    const { heard, offer } = intake({ bytesMax: 100 })
    for (const n of [1, 2, 3, 4]) offer(`a:${n}`, 20)
    offer("b:1", 101)
    expect(heard).toEqual(["b:1 Overloaded"])
  })

  it("in repeats that wait for one answer: the first of them is sent back to ask again", () => {
    const { heard, intake: own, offer, take } = intake()
    const command = offer("a:1")
    for (let i = 0; i < waitersMax; i++) offer(`again:${i}`, 1, 0, command)
    expect(heard).toEqual(["a:1 Pending"])
    own.reply(take(1)[0]!, done)
    expect(heard).toHaveLength(waitersMax + 1)
    expect(own.size).toBe(0)
  })

  it("gives a time to retry that follows from the rate of service", () => {
    const { intake: own, offer, take } = intake({ commandsMax: 100 })
    let asked = 0
    const retryAfter = (actor: string, now: number) => {
      own.offer(wire(actor, "x"), 1, now, (reply) => {
        asked = reply._tag === "Overloaded" ? reply.retryAfter : -1
      })
      return asked
    }
    for (let n = 0; n < 100; n++) offer(`a:${n}`, 1, 5000)
    expect(retryAfter("a", 5000)).toBe(1000)
    // Fifty in a second: the other half takes another.
    for (const entry of take(50)) own.reply(entry, done)
    for (let n = 0; n < 50; n++) offer(`b:${n}`, 1, 6000)
    expect(retryAfter("a", 6001)).toBe(1000)
    for (const entry of take(100)) own.reply(entry, done)
    for (let n = 0; n < 100; n++) offer(`c:${n}`, 1, 7000)
    expect(retryAfter("c", 7001)).toBe(500)
    // An hour of silence says nothing about the rate.
    expect(retryAfter("c", 3_600_000)).toBe(1000)
  })
})

describe("R7, R4: order", () => {
  it("what comes back is before anything newer of its actor", () => {
    const { intake: own, names, offer, take } = intake()
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const round = take(2)
    offer("a:4")
    own.putBack(round)
    expect(names(take(10))).toBe("a:1 a:2 a:3 a:4")
  })

  it("what comes again does so without newer commands of its actor among it", () => {
    const { intake: own, names, offer, take } = intake()
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const round = take(2)
    for (const entry of round) entry.attempts++
    own.putBack(round)
    offer("b:1")
    expect(names(take(10))).toBe("a:1 a:2 b:1")
    expect(names(take(10))).toBe("a:3")
  })

  it("what must be alone is the only one of its actor in its round, wherever it stands", () => {
    const { intake: own, names, offer, take } = intake()
    for (const n of [1, 2, 3, 4, 5]) offer(`a:${n}`)
    const round = take(4)
    for (const entry of round.slice(1, 3)) entry.alone = true
    own.putBack(round)
    for (const n of [1, 2, 3]) offer(`b:${n}`)
    expect([1, 2, 3, 4].map(() => names(take(3)))).toEqual(["a:1 b:1 b:2", "a:2 b:3", "a:3", "a:4 a:5"])
  })

  it("after a loop that lost track of its round all is queued anew in order of arrival", () => {
    const { intake: own, names, offer, take } = intake()
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const [first] = take(2)
    own.reply(first!, done)
    offer("b:1")
    own.requeue()
    expect(names(take(10))).toBe("a:2 a:3 b:1")
    expect(own.waiting).toBe(0)
  })
})

describe("G19: an actor that rushes in does not take its neighbours' room", () => {
  it("the newest of the one with most is turned away", () => {
    const { heard, names, offer, take } = intake({ commandsMax: 4 })
    for (const n of [1, 2, 3, 4, 5]) offer(`a:${n}`)
    offer("b:1")
    offer("b:2")
    offer("b:3")
    offer("c:1")
    expect(heard).toEqual(["a:5 Overloaded", "a:4 Overloaded", "a:3 Overloaded", "b:3 Overloaded", "a:2 Overloaded"])
    expect(names(take(10))).toBe("a:1 b:1 b:2 c:1")
  })

  it("but nobody who may have been executed already", () => {
    const { heard, intake: own, offer, take } = intake({ commandsMax: 3 })
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const round = take(3)
    for (const entry of round) entry.attempts++
    own.putBack(round)
    offer("b:1")
    expect(heard).toEqual(["b:1 Overloaded"])
    expect(own.waiting).toBe(3)
  })
})

describe("R1, R3: repeats", () => {
  it("who came while the round was under way hears what is on record, and nothing else", () => {
    const { heard, intake: own, names, offer, take } = intake()
    const recorded = offer("a:1")
    const read = offer("a:2")
    const [first, second] = take(2)
    offer("late:1", 1, 0, recorded)
    offer("late:2", 1, 0, read)
    own.reply(first!, done)
    own.reply(second!, done, false)
    expect(heard).toEqual(["a:1 Reply", "late:1 Reply", "a:2 Reply"])
    expect(names(take(10))).toBe("a:2")
    expect(own.size).toBe(1)
  })

  it("who came while a round was under way that gave no verdict waits with the others", () => {
    const { heard, intake: own, offer, take } = intake()
    const command = offer("a:1")
    const round = take(1)
    offer("late:1", 1, 0, command)
    own.putBack(round)
    own.reply(take(1)[0]!, done, false)
    expect(heard).toEqual(["a:1 Reply", "late:1 Reply"])
    expect(own.size).toBe(0)
  })

  it("the same id with other content is refused at once, and one that cannot be read is a fault", () => {
    const { heard, offer } = intake()
    const command = offer("a:1")
    offer("other:1", 1, 0, { ...command, command: "other" })
    offer("other:2", 1, 0, { ...command, command: 1n })
    expect(heard).toEqual(["other:1 Differs", "other:2 Fault"])
  })
})

describe("R9: a cell that goes away", () => {
  it("first sends on what is queued, then the rest", () => {
    const { heard, intake: own, offer, take } = intake()
    for (const n of [1, 2, 3]) offer(`a:${n}`)
    const round = take(1)
    own.drainQueue({ _tag: "Moved", cell: null })
    expect(heard).toEqual(["a:2 Moved", "a:3 Moved"])
    expect(own.isOpen(round[0]!)).toBe(true)
    own.drain({ _tag: "Moved", cell: null })
    expect(heard).toEqual(["a:2 Moved", "a:3 Moved", "a:1 Moved"])
    expect([own.size, own.waiting]).toEqual([0, 0])
    // A reply that comes after it changes nothing.
    own.reply(round[0]!, done)
    expect(heard).toHaveLength(3)
  })
})
