/**
 * Sessions of the database: how long they last, and their names. A name tells whose a session is, so that a hung runner's can
 * be ended (R22). PostgreSQL cuts it at 63 bytes, and one in the connection string would win over ours.
 */
import { Redacted } from "effect"

/**
 * For pools: a connection lasts however long it is not needed. One that is opened for a burst and closed after it costs the
 * database a process, its catalogue caches and all its plans anew at each.
 */
export const idleTimeoutMillis = 0

/** Longest name that PostgreSQL keeps, in bytes. */
const nameMax = 63

const cut = (name: string): string => new TextDecoder().decode(new TextEncoder().encode(name).slice(0, nameMax))

/** Sessions of a member's queries and locks. `member`: a runner's `host:port`. */
export const runnerSession = (member: string): string => cut(`hikyaku-runner ${member}`)
/** Sessions of its journal. */
export const journalSession = (member: string): string => cut(`hikyaku-journal ${member}`)

/** The connection string without a name of its own: whoever connects gives one. */
export const unnamed = (url: Redacted.Redacted): Redacted.Redacted => {
  const text = Redacted.value(url)
  if (!URL.canParse(text)) return url
  const parsed = new URL(text)
  if (!parsed.searchParams.has("application_name") && !parsed.searchParams.has("fallback_application_name")) return url
  parsed.searchParams.delete("application_name")
  parsed.searchParams.delete("fallback_application_name")
  return Redacted.make(parsed.href)
}
