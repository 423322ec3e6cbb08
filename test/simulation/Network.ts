/** Messages between a client and the fleet: they are late, lost, doubled, overtake each other, and go astray. */
import { carry } from "@hikyaku/cluster/actor/Carrier"
import type { Post } from "@hikyaku/cluster/actor/ClientQueue"
import { decodeAnswer, encodeGroups, type WireAnswer } from "@hikyaku/cluster/actor/Wire"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { type Faults, passage } from "./Faults.ts"
import type { Runner } from "./Fleet.ts"
import type { VirtualTime } from "./VirtualTime.ts"

/** ms after which a client gives a message up and sends it again. */
const messageTimeout = 400

export const makePost = (options: {
  readonly client: string
  readonly kind: string
  readonly route: (cell: string) => Runner | undefined
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly faults: () => Faults
  readonly note: (line: string) => void
}): Post => {
  const { client, faults, kind, note, random, route, time } = options
  let messages = 0

  const deliver = (carrier: string, bytes: Uint8Array, name: string, done: (answer: WireAnswer | null) => void) => {
    const runner = route(carrier)
    if (runner === undefined || runner.dead) return
    note(`${name} at ${runner.name}`)
    const { after } = time
    carry({ runner: runner.name, cells: runner.cells, after }, kind, bytes, (answer) => {
      const way = passage(faults(), random)
      if (way === null) return
      time.after(way, () => {
        if (!runner.dead) done(decodeAnswer(answer))
      })
    })
  }

  return (carrier, groups, done) => {
    const bytes = encodeGroups(groups)
    const name = `${client}.${++messages}`
    let heard = false
    const once = (answer: WireAnswer | null) => {
      if (heard) return
      heard = true
      note(`${name} ${answer === null ? "lost" : "back"}`)
      done(answer)
    }
    time.after(messageTimeout, () => once(null))
    for (let copies = random.chance(faults().messageDoubled) ? 2 : 1; copies > 0; copies--) {
      const way = passage(faults(), random)
      if (way !== null) time.after(way, () => deliver(carrier, bytes, name, once))
    }
  }
}
