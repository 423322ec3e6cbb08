/** What PostgreSQL says of an error, by its five-letter code (Appendix A of its manual). */

/** The code; empty where the error is none of the server's. */
export const sqlState = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : ""

/** Deadlock and serialisation failure: nothing was done, repeat. */
const repeatable: ReadonlySet<string> = new Set(["40P01", "40001"])
export const isRepeatable = (error: unknown): boolean => repeatable.has(sqlState(error))
/** How often a statement is repeated after one of these before it is reported. */
export const repeatsMax = 5
