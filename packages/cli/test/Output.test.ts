import { counts, facts, table } from "@hikyaku/cli/Output"
import { describe, expect, it } from "vitest"

describe("tables", () => {
  it("put numbers to the right and texts to the left", () => {
    expect(table(["product", "pieces"], [["tee", 5], ["shirt", 1234]])).toBe(
      "product  pieces\ntee           5\nshirt     1,234"
    )
    expect(table(["a"], [])).toBe("(none)")
  })

  it("line up Japanese, which takes two columns a character", () => {
    const [, first, second] = table(["name", "n"], [["飛脚", 1], ["ab", 2]]).split("\n")
    expect(first).toBe("飛脚  1")
    expect(second).toBe("ab    2")
  })

  it("let nothing reach the terminal that could steer it", () => {
    expect(table(["name"], [["a\u001b[2Jb\u0007"]])).not.toMatch(/\p{Cc}(?<!\n)/u)
    expect(facts([["x", "a\u001b[31m"]])).not.toContain("\u001b")
  })

  it("cut what is too long for a cell", () => {
    const [, row] = table(["text", "n"], [["x".repeat(100), 1]]).split("\n")
    expect(row).toBe(`${"x".repeat(59)}…  1`)
  })

  it("count the largest first", () => {
    expect(counts({ a: 1, b: 2000 })).toBe("2,000 b, 1 a")
    expect(counts({})).toBe("none")
  })
})
