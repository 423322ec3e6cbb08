/** How expectations are compared and how their failure is shown; knows no test runner. */

/** A value as text that does not depend on the order of keys; absent and undefined are the same. */
export const canonical = (value: unknown): string =>
  JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1))
        : part,
    2
  ) ?? "undefined"

/** An expectation that did not hold. Test runners that know `expected` and `actual` show the difference. */
export class Mismatch extends Error {
  override readonly name = "Mismatch"
  readonly showDiff = true
  readonly expected: string
  readonly actual: string

  constructor(what: string, expected: unknown, actual: unknown) {
    const wanted = canonical(expected)
    const found = canonical(actual)
    super(`${what}\nexpected: ${wanted}\nactual:   ${found}`)
    this.expected = wanted
    this.actual = found
  }
}

/** Throws a `Mismatch` unless the two are alike in content. */
export const expectSame = (what: string, expected: unknown, actual: unknown): void => {
  if (canonical(expected) !== canonical(actual)) throw new Mismatch(what, expected, actual)
}
