/** What a bench is told on its command line; the same for all of them. `npm run bench -- --help` prints `usage`. */
import { parseArgs } from "node:util"

export interface Options {
  /** Adds per measurement. */
  readonly n: number
  /** Repetitions; medians are taken over them. */
  readonly reps: number
  /** Length of measurements at a given rate, seconds. */
  readonly seconds: number
  /** Systems that are measured; null: all of them. Without all of them nothing is said about goals. */
  readonly only: ReadonlyArray<string> | null
  /** File that the JSON lines are appended to, beside standard output. */
  readonly json: string | null
  /** Folder for CPU profiles of Hikyaku's processes, or null: none are taken. */
  readonly profile: string | null
  /** Longest wait for a quiet machine before each measurement, seconds (QUIET_S). */
  readonly quietS: number
  /** Where the benches' PostgreSQL keeps its data; stays between runs. */
  readonly data: string
  /** Whether an earlier bench of this run has made the template. */
  readonly templateMade: boolean
  /** `growth`: only load what is missing, measure nothing. */
  readonly load: boolean
  /** `growth`: closed rows in allocation and outcome; 0: none. */
  readonly rows: number
  /** `growth`: the largest number of products. */
  readonly products: number
  /** `memory`: member actors. */
  readonly members: number
}

export const usage = `npm run bench -- NAME [NAME...] [options]

  --json FILE       JSON lines go to FILE as well
  --quick           a smoke test: few adds, one repetition, no wait for a quiet machine; its figures mean nothing
  --only PEER,...   measure these systems alone (hikyaku, pg-node-pool32, ...); says nothing about goals
  --n N             adds per measurement (20000)
  --reps N          repetitions, of which medians are taken (3)
  --seconds N       length of measurements at a given rate (5)
  --profile FOLDER  CPU profiles of runner and gateway while they are measured; see bench/profile.mjs
  --data FOLDER     data of the benches' PostgreSQL (.hikyaku/bench)
  --members N       memory: member actors; fanout: members of the large audience; neighbours: of the run; indexes: of the shop (100000)
  --products N      growth: the largest number of products (1000000)
  --rows N          growth: that many closed rows in allocation and in outcome beside the products (0)
  --load            growth: only load, measure nothing
  QUIET_S=N         environment: longest wait for a quiet machine before each measurement, seconds (60)
`

const positive = (name: string, text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} takes a whole number, not ${text}`)
  return value
}

/** Reads the options; throws with a message for people. */
export const readOptions = (args: ReadonlyArray<string>, quietS: string | undefined): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "string" },
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      n: { type: "string" },
      reps: { type: "string" },
      seconds: { type: "string" },
      profile: { type: "string" },
      data: { type: "string", default: ".hikyaku/bench" },
      members: { type: "string" },
      products: { type: "string" },
      rows: { type: "string", default: "0" },
      "template-made": { type: "boolean", default: false },
      load: { type: "boolean", default: false }
    }
  })
  const { quick } = values
  const number = (name: "n" | "reps" | "seconds" | "members" | "products", full: number, small: number) =>
    positive(name, values[name] ?? String(quick ? small : full))
  return {
    n: number("n", 20_000, 2_000),
    reps: Math.max(1, number("reps", 3, 1)),
    seconds: Math.max(1, number("seconds", 5, 1)),
    only: values.only?.split(",") ?? null,
    json: values.json ?? null,
    profile: values.profile ?? null,
    quietS: Number(quietS ?? (quick ? 0 : 60)),
    data: values.data,
    templateMade: values["template-made"],
    load: values.load,
    rows: positive("rows", values.rows),
    products: number("products", 1_000_000, 10_000),
    members: number("members", 100_000, 5_000)
  }
}
