import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { mutations } from "./Mutations.mjs"

const root = new URL("../../", import.meta.url)

/** How often the text that an entry takes away is in its file. */
const timesFound = ({ file, find }: (typeof mutations)[number]): number =>
  readFileSync(new URL(file, root), "utf8").split(find).length - 1

// `npm run mutate` takes too long for every run; that its entries still name what they take away costs nothing to see.
describe("the mutations", () => {
  it("each take away something that is in their file exactly once", () => {
    expect(mutations.filter((entry) => timesFound(entry) !== 1).map(({ id }) => id)).toEqual([])
  })

  it("each have a name of their own", () => {
    expect(new Set(mutations.map(({ id }) => id)).size).toBe(mutations.length)
  })
})
