import { ClientQueue, type Item, type QueueLimits, queueLimitsDefault } from "@hikyaku/cluster/actor/ClientQueue"
import { cellOf, hotCellOf } from "@hikyaku/cluster/actor/Placement"
import type { WireAnswer, WireGroup, WireReply } from "@hikyaku/cluster/actor/Wire"
import { describe, expect, it } from "vitest"
import { freshId } from "./CellHouse.ts"

const cells = 4
/** Actors of one cell, so that they share a queue, and one of another. */
const home = cellOf("a0", cells)
const mates = Array.from({ length: 200 }, (_, i) => `a${i}`).filter((actor) => cellOf(actor, cells) === home)
const [a, b] = mates as [string, string]
const [elsewhere] = Array.from({ length: 99 }, (_, i) => `z${i}`).filter((actor) => cellOf(actor, cells) !== home) as [
  string
]

interface Message {
  readonly carrier: string
  readonly groups: ReadonlyArray<WireGroup>
  readonly done: (answer: WireAnswer | null) => void
}

/** A client whose messages, rests and time are in the test's hands. */
const client = (limits: Partial<QueueLimits> = {}) => {
  let now = 0
  const messages: Array<Message> = []
  const rests: Array<{ readonly ms: number; readonly wake: () => void }> = []
  const turns: Array<() => void> = []
  const heard: Array<string> = []
  const queue = new ClientQueue({
    cells,
    limits: { ...queueLimitsDefault, ...limits },
    post: (carrier, groups, done) => messages.push({ carrier, groups, done }),
    rest: (ms, wake) => rests.push({ ms, wake }),
    soon: (wake) => turns.push(wake),
    monotonic: () => now
  })
  /** The end of the turn of the event loop. */
  const turn = () => {
    for (const wake of turns.splice(0)) wake()
  }
  const send = (actor: string, name: string, within = 1000): Item => {
    const resume = (reply: WireReply) => heard.push(`${name} ${reply._tag}`)
    const item: Item = {
      actor,
      id: freshId(),
      command: name,
      at: null,
      expiresAt: now + within,
      resume,
      settled: false,
      sent: false,
      astray: false
    }
    queue.send(item)
    return item
  }
  /** What is in the only message under way, per group: `cell: names`. */
  const underWay = () => {
    turn()
    return messages.map(({ groups }) =>
      groups.map(({ cell, commands }) => `${cell}: ${commands.map(({ command }) => String(command)).join(" ")}`).join(
        ", "
      )
    )
  }
  /** Answers the oldest message under way. */
  const answer = (reply: (name: string, cell: string) => WireReply | null, runner = "r1") => {
    turn()
    const message = messages.shift()
    if (message === undefined) throw new Error("nothing under way")
    message.done({
      runner,
      groups: message.groups.map(({ cell, commands }) => {
        const replies = commands.map(({ command }) => reply(String(command), cell))
        return replies.includes(null) ? null : replies.filter((each) => each !== null)
      })
    })
  }
  const fail = () => {
    turn()
    messages.shift()?.done(null)
  }
  const rested = () => {
    for (const { wake } of rests.splice(0)) wake()
  }
  const pass = (ms: number) => {
    now += ms
    queue.expire()
  }
  return { queue, heard, messages, rests, send, underWay, answer, fail, rested, pass, turn }
}
const ok: WireReply = { _tag: "Reply", reply: {} }
const pending: WireReply = { _tag: "Pending" }
const moved = (cell: string | null): WireReply => ({ _tag: "Moved", cell })

describe("R7: one batch in flight per cell, and order is kept", () => {
  it("what is sent in one turn leaves together, what comes meanwhile waits for its return", () => {
    const { answer, heard, send, underWay } = client()
    send(a, "1")
    send(a, "2")
    expect(underWay()).toEqual([`${home}: 1 2`])
    send(a, "3")
    send(b, "4")
    expect(underWay()).toEqual([`${home}: 1 2`])
    answer(() => ok)
    expect(underWay()).toEqual([`${home}: 3 4`])
    answer(() => ok)
    expect(heard).toEqual(["1 Reply", "2 Reply", "3 Reply", "4 Reply"])
    expect(underWay()).toEqual([])
  })

  it("what is pending is collected ahead of anything newer, in its order", () => {
    const { answer, heard, send, underWay } = client()
    for (const n of ["1", "2", "3"]) send(a, n)
    underWay()
    send(a, "4")
    answer((name) => name === "2" ? ok : pending)
    expect(underWay()).toEqual([`${home}: 1 3 4`])
    expect(heard).toEqual(["2 Reply"])
  })

  it("a message that failed is sent again whole, after a rest, ahead of anything newer", () => {
    const { fail, rested, rests, send, underWay } = client()
    send(a, "1")
    send(a, "2")
    underWay()
    send(a, "3")
    fail()
    expect(underWay()).toEqual([])
    expect(rests.map(({ ms }) => ms)).toEqual([50])
    rested()
    expect(underWay()).toEqual([`${home}: 1 2 3`])
  })

  it("an answer that is too short or lacks the cell leaves nobody unanswered", () => {
    const { heard, messages, rested, send, underWay } = client()
    send(a, "1")
    send(a, "2")
    underWay()
    messages.shift()!.done({ runner: "r1", groups: [[ok]] })
    expect(heard).toEqual(["1 Reply"])
    expect(underWay()).toEqual([`${home}: 2`])
    messages.shift()!.done({ runner: "r1", groups: [] })
    rested()
    expect(underWay()).toEqual([`${home}: 2`])
  })

  it("an actor that has moved takes all that waits for it along, in order, before anything newer", () => {
    const { answer, heard, send, underWay } = client()
    for (const n of ["1", "2", "3"]) send(a, n)
    send(b, "b1")
    underWay()
    send(a, "4")
    send(b, "b2")
    send(a, "5")
    answer((name) => name === "b1" ? ok : moved(hotCellOf(a)))
    send(a, "6")
    expect(underWay()).toEqual([`${hotCellOf(a)}: 1 2 3 4 5 6`, `${home}: b2`])
    expect(heard).toEqual(["b1 Reply"])
  })

  it("what is pending at the old home moves along with what was sent on", () => {
    const { answer, send, underWay } = client()
    for (const n of ["1", "2", "3"]) send(a, n)
    underWay()
    answer((name) => name === "2" ? moved(hotCellOf(a)) : pending)
    expect(underWay()).toEqual([`${hotCellOf(a)}: 1 2 3`])
  })

  it("an actor may move back", () => {
    const { answer, send, underWay } = client()
    send(a, "1")
    answer(() => moved(hotCellOf(a)))
    underWay()
    send(a, "2")
    answer(() => moved(home))
    expect(underWay()).toEqual([`${home}: 1 2`])
  })

  it("a cell that sends on to nowhere, or to itself, is asked again directly, after a rest if it was asked directly", () => {
    const { answer, rested, rests, send, underWay } = client()
    send(a, "1")
    send(a, "2")
    answer(() => pending)
    underWay()
    // Carried: it is asked directly at once.
    answer((name) => name === "1" ? moved(null) : moved(home))
    expect(underWay()).toEqual([`${home}: 1 2`])
    answer(() => moved(null))
    expect(underWay()).toEqual([])
    expect(rests).toHaveLength(1)
    rested()
    expect(underWay()).toEqual([`${home}: 1 2`])
  })
})

describe("R8: actors with a cell of their own", () => {
  const hot = hotCellOf(a)
  /** A client that remembers that `a` has a cell of its own. */
  const remembering = () => {
    const it = client()
    it.send(a, "a0")
    it.answer((_, cell) => cell === hot ? ok : moved(hot))
    it.answer((_, cell) => cell === hot ? ok : moved(hot))
    it.heard.length = 0
    return it
  }

  it("are asked there from then on, and where they have gone back to once they are said to", () => {
    const it = remembering()
    it.send(a, "a1")
    it.send(b, "b1")
    expect(it.underWay().toSorted()).toEqual([`${home}: b1`, `${hot}: a1`])
    it.answer((_, cell) => cell === hot ? moved(home) : ok)
    it.answer((_, cell) => cell === hot ? moved(home) : ok)
    it.send(a, "a2")
    expect(it.underWay()).toEqual([`${home}: a1 a2`])
  })

  it("are asked where they came from, in order, when their cell does not answer, and again there if they live there", () => {
    const it = remembering()
    it.send(a, "a1")
    expect(it.underWay()).toEqual([`${hot}: a1`])
    it.send(a, "a2")
    it.fail()
    expect(it.underWay()).toEqual([`${home}: a1 a2`])
    it.send(a, "a3")
    it.answer(() => moved(hot))
    it.rested()
    expect(it.underWay()).toEqual([`${hot}: a1 a2 a3`])
    it.answer(() => ok)
    expect(it.heard).toEqual(["a1 Reply", "a2 Reply", "a3 Reply"])
  })

  it("leave no queue behind", () => {
    const it = remembering()
    it.send(b, "b1")
    it.turn()
    expect(it.queue.cellCount).toBe(1)
  })
})

describe("R9: one message per runner", () => {
  /** A client that has seen both cells at one runner. */
  const acquainted = (limits: Partial<QueueLimits> = {}) => {
    const it = client(limits)
    it.send(a, "a0")
    it.send(elsewhere, "z0")
    it.answer(() => ok)
    it.answer(() => ok)
    it.heard.length = 0
    return it
  }

  it("cells that are not known yet are asked directly, cells last seen at one runner travel together", () => {
    const it = client()
    it.send(a, "a0")
    it.send(elsewhere, "z0")
    expect(it.underWay()).toHaveLength(2)
    const { send, underWay } = acquainted()
    send(a, "a1")
    send(elsewhere, "z1")
    expect(underWay()).toEqual([`${home}: a1, ${cellOf(elsewhere, cells)}: z1`])
  })

  it("a cell that is not there any more is asked directly, without a rest; its neighbours are served", () => {
    const { answer, heard, send, underWay } = acquainted()
    send(a, "a1")
    send(elsewhere, "z1")
    answer((_, cell) => cell === home ? null : ok)
    expect(heard).toEqual(["z1 Reply"])
    expect(underWay()).toEqual([`${home}: a1`])
  })

  it("hot cells travel alone", () => {
    const { answer, send, underWay } = acquainted()
    send(a, "a1")
    answer(() => moved(hotCellOf(a)))
    answer(() => ok)
    send(a, "a2")
    send(b, "b1")
    send(elsewhere, "z1")
    expect(underWay()).toEqual([`${hotCellOf(a)}: a2`, `${home}: b1, ${cellOf(elsewhere, cells)}: z1`])
  })

  it("no more messages are under way to one runner than it takes", () => {
    const { answer, send, underWay } = acquainted({ messagesMax: 1 })
    send(a, "a1")
    underWay()
    send(elsewhere, "z1")
    expect(underWay()).toEqual([`${home}: a1`])
    answer(() => ok)
    expect(underWay()).toEqual([`${cellOf(elsewhere, cells)}: z1`])
  })

  it("a message that fails does not keep the others of its runner waiting", () => {
    const { fail, heard, rested, send, underWay, answer } = acquainted({ messagesMax: 1 })
    send(a, "a1")
    underWay()
    send(elsewhere, "z1")
    fail()
    expect(underWay()).toEqual([`${cellOf(elsewhere, cells)}: z1`])
    answer(() => ok)
    rested()
    expect(underWay()).toEqual([`${home}: a1`])
    expect(heard).toEqual(["z1 Reply"])
  })

  it("a batch carries no more than its quota of a cell, a share for every actor", () => {
    const { answer, send, underWay } = client({ batchMax: 4 })
    for (const n of [1, 2, 3, 4, 5, 6]) send(a, `a${n}`)
    send(b, "b1")
    expect(underWay()).toEqual([`${home}: a1 a2 b1 a3`])
    answer(() => ok)
    expect(underWay()).toEqual([`${home}: a4 a5 a6`])
  })
})

describe("R10: bounds and deadlines", () => {
  it("commands that wait are bounded, all together and per cell; those under way count", () => {
    const { answer, heard, queue, send, underWay } = client({ openMax: 4, cellMax: 3 })
    for (const n of ["1", "2", "3", "4"]) send(a, n)
    send(elsewhere, "5")
    send(elsewhere, "6")
    expect(heard).toEqual(["4 Overloaded", "6 Overloaded"])
    underWay()
    send(a, "7")
    expect(heard.at(-1)).toBe("7 Overloaded")
    answer(() => ok)
    send(a, "8")
    expect(heard.at(-1)).toBe("3 Reply")
    expect(queue.openCount).toBe(2)
  })

  it("G19: an actor that rushes in does not take its neighbours' room", () => {
    const { heard, send, underWay } = client({ cellMax: 4 })
    for (const n of ["1", "2", "3", "4", "5"]) send(a, n)
    send(b, "b1")
    expect(heard).toEqual(["5 Overloaded", "4 Overloaded"])
    expect(underWay()).toEqual([`${home}: 1 2 3 b1`])
  })

  it("who has left already is not turned away for somebody else", () => {
    const { answer, heard, send, underWay } = client({ cellMax: 3 })
    for (const n of ["1", "2", "3"]) send(a, n)
    answer(() => pending)
    underWay()
    send(b, "b1")
    expect(heard).toEqual(["b1 Overloaded"])
  })

  it("who may have been executed already is not told that nothing was done", () => {
    const { answer, heard, rested, rests, send, underWay } = client()
    send(a, "1")
    answer(() => pending)
    send(a, "2")
    underWay()
    answer(() => ({ _tag: "Overloaded", retryAfter: 50 }))
    expect(heard).toEqual(["2 Overloaded"])
    expect(underWay()).toEqual([])
    expect(rests).toHaveLength(1)
    rested()
    expect(underWay()).toEqual([`${home}: 1`])
  })

  it("what has waited too long is answered, and if it has not left it never will", () => {
    const { answer, heard, pass, send, underWay } = client()
    send(a, "1", 100)
    underWay()
    send(a, "2", 100)
    send(a, "3", 500)
    pass(100)
    expect(heard).toEqual(["1 Late", "2 Late"])
    answer(() => ok)
    expect(underWay()).toEqual([`${home}: 3`])
    expect(heard).toEqual(["1 Late", "2 Late"])
  })

  it("R6: deadlines travel as the time that remains", () => {
    const { messages, pass, send, underWay } = client()
    send(a, "1", 100)
    pass(40)
    underWay()
    expect(messages[0]!.groups[0]!.commands[0]!.within).toBe(60)
  })

  it("what is abandoned makes room at once, and does not pile up while its cell does not answer", () => {
    const { queue, heard, send, underWay } = client({ cellMax: 10 })
    send(a, "first")
    underWay()
    for (let i = 0; i < 10_000; i++) queue.abandon(send(a, `${i}`))
    expect(queue.openCount).toBe(1)
    expect(heard).toEqual([])
    expect(queue.queuedCount).toBeLessThan(100)
  })

  it("a queue of nothing but what is abandoned sends nothing", () => {
    const { messages, queue, send, turn } = client()
    queue.abandon(send(a, "1"))
    turn()
    expect(messages).toEqual([])
  })

  it("what was abandoned under way is not sent again", () => {
    const { answer, heard, queue, send, underWay } = client()
    const item = send(a, "1")
    send(a, "2")
    underWay()
    queue.abandon(item)
    answer(() => pending)
    expect(underWay()).toEqual([`${home}: 2`])
    expect(heard).toEqual([])
  })

  it("R25: closing answers whoever waits, and whoever comes", () => {
    const { answer, heard, queue, send, underWay } = client()
    send(a, "1")
    underWay()
    send(a, "2")
    queue.close()
    send(a, "3")
    expect(heard).toEqual(["1 Late", "2 Late", "3 Late"])
    answer(() => ok)
    expect(underWay()).toEqual([])
    expect(queue.openCount).toBe(0)
  })
})
