/**
 * Segments compiled to SQL: the same meaning as the predicate `matches` of the domain (a property test holds the two
 * together), page by page in the order of member ids.
 *
 * A page must cost what it finds, not what the shop has. So the query begins with the condition that has the fewest members
 * and an index in their order (the *driver*: who favourited the product, who is on the list, ...), and asks the other
 * conditions of those. Alternatives that each have a driver are pages of their own, merged. Where no condition has a driver
 * (attributes, negations) the members themselves are paged through.
 */
import { dayMs, type Segment, type Target } from "@hikyaku/domain/marketing/Segment"

/** A statement with its parameters, `$1` first. */
export interface SegmentPage {
  readonly text: string
  readonly values: ReadonlyArray<string | number | boolean | ReadonlyArray<string>>
}

/** Alternatives merged from pages of their own at most; with more, members are paged through. */
export const branchesMax = 8

type Condition = Exclude<Segment, { readonly _tag: "All" } | { readonly _tag: "Any" } | { readonly _tag: "Not" }>
type Activity = Condition & { readonly _tag: "Did" | "Favourited" }

/** Collects parameters; the same value is one parameter. */
class Parameters {
  readonly values: Array<string | number | boolean | ReadonlyArray<string>> = []
  private readonly places = new Map<unknown, number>()

  add(value: string | number | boolean | ReadonlyArray<string>, type: string): string {
    const known = typeof value === "object" ? undefined : this.places.get(`${type} ${String(value)}`)
    if (known !== undefined) return `$${known}::${type}`
    this.values.push(value)
    if (typeof value !== "object") this.places.set(`${type} ${String(value)}`, this.values.length)
    return `$${this.values.length}::${type}`
  }

  /** An instant, given in ms. */
  instant(ms: number): string {
    return `to_timestamp(${this.add(ms, "float8")} / 1000)`
  }
}

/** One way to be in the segment: all of `rest` hold for members whom the driver yields; without one, for all members. */
interface Branch {
  readonly driver: Activity | (Condition & { readonly _tag: "OnList" }) | null
  readonly rest: ReadonlyArray<Segment>
}

/** How few members a condition is likely to have: smaller is fewer; null if it has no index in the order of members. */
const selectivity = (segment: Segment): number | null => {
  switch (segment._tag) {
    case "Did":
    case "Favourited":
      if (segment.of === undefined) return null
      return "product" in segment.of ? 1 : "brand" in segment.of ? 3 : 4
    case "OnList":
      return 2
    default:
      return null
  }
}

const isDriver = (segment: Segment): segment is NonNullable<Branch["driver"]> => selectivity(segment) !== null

/** Conditions that must all hold. */
const conjuncts = (segment: Segment): ReadonlyArray<Segment> =>
  segment._tag === "All" ? segment.of.flatMap(conjuncts) : [segment]

const branch = (all: ReadonlyArray<Segment>): Branch => {
  let driver: Branch["driver"] = null
  for (const each of all) {
    if (isDriver(each) && (driver === null || (selectivity(each) ?? 9) < (selectivity(driver) ?? 9))) driver = each
  }
  return { driver, rest: all.filter((each) => each !== driver) }
}

const branches = (segment: Segment): ReadonlyArray<Branch> => {
  const all = conjuncts(segment)
  const whole = branch(all)
  // Named members are found by their key, whatever else is asked.
  if (whole.driver !== null || all.some((each) => each._tag === "Members")) return [whole]
  for (const any of all) {
    if (any._tag !== "Any" || any.of.length > branchesMax) continue
    const rest = all.filter((each) => each !== any)
    const alternatives = any.of.map((each) => branch([...conjuncts(each), ...rest]))
    if (alternatives.every(({ driver, rest }) => driver !== null || rest.some((each) => each._tag === "Members"))) {
      return alternatives
    }
  }
  return [whole]
}

const ofTarget = (alias: string, target: Target | undefined, parameters: Parameters): string => {
  if (target === undefined) return ""
  const [column, value] = "product" in target ?
    ["product", target.product] :
    "category" in target ?
    ["category", target.category] :
    ["brand", target.brand]
  return ` and ${alias}.${column} = ${parameters.add(value, "text")}`
}

/** Rows of `a` (activity) or `f` (favourite) that count for a condition. `byDay`: whether the day narrows down what is read. */
const rows = (segment: Activity, now: number, parameters: Parameters, byDay: boolean): string => {
  const since = segment.withinDays === undefined ? null : now - segment.withinDays * dayMs
  if (segment._tag === "Favourited") {
    return `true${ofTarget("f", segment.of, parameters)}${
      since === null ? "" : ` and f.at >= ${parameters.instant(since)}`
    }`
  }
  // The day is in the index, the instant is not: the day, a day early whatever the zone, spares reading old rows.
  const days = (from: number) => ` and a.day >= (${parameters.instant(from)} at time zone 'UTC')::date`
  const recent = since === null
    ? ""
    : `${byDay ? days(since - dayMs) : ""} and a.last_at >= ${parameters.instant(since)}`
  return `a.type = ${parameters.add(segment.activity, "text")}${ofTarget("a", segment.of, parameters)}${recent}`
}

const comparison = { lt: "<", le: "<=", gt: ">", ge: ">=" } as const

/**
 * Ends a subquery that is to be asked member by member. Without it PostgreSQL may join instead, and then a page reads what all
 * members did, from the first on, to find the few it is about.
 */
const byMember = " offset 0"

/** A condition on the member `m`; true or false, never null. `end`: `byMember`, or nothing where it may join as it likes. */
const conditionSql = (segment: Segment, now: number, parameters: Parameters, end: string): string => {
  switch (segment._tag) {
    case "Everyone":
      return "true"
    case "Favourited":
      return `exists (select from favourite f where f.member = m.id and ${rows(segment, now, parameters, true)}${end})`
    case "Did": {
      const atLeast = segment.atLeast ?? 1
      // Of whatever product: PostgreSQL would skip from product to product for the day, and take the wrong index for it.
      const byDay = segment.of !== undefined
      const from = `from member_activity a where a.member = m.id and ${rows(segment, now, parameters, byDay)}`
      return atLeast === 1
        ? `exists (select ${from}${end})`
        : `coalesce((select sum(a.count) ${from}), 0) >= ${parameters.add(atLeast, "bigint")}`
    }
    case "Attribute": {
      // A parameter that is added must also be used: PostgreSQL could not tell its type.
      const name = () => parameters.add(segment.name, "text")
      const object = () => parameters.add(JSON.stringify({ [segment.name]: segment.value }), "jsonb")
      switch (segment.is) {
        case "eq":
          return `m.attributes @> ${object()}`
        case "ne":
          return `(m.attributes ? ${name()} and not m.attributes @> ${object()})`
        default:
          // The cast is only tried on numbers.
          return typeof segment.value !== "number" ?
            "false" :
            `case when jsonb_typeof(m.attributes -> ${name()}) = 'number'
  then (m.attributes ->> ${name()})::float8 ${comparison[segment.is]} ${
              parameters.add(segment.value, "float8")
            } else false end`
      }
    }
    case "HasAttribute":
      return `m.attributes ? ${parameters.add(segment.name, "text")}`
    case "AttributeIn": {
      const name = parameters.add(segment.name, "text")
      return `(coalesce(jsonb_typeof(m.attributes -> ${name}) = 'string', false)
  and m.attributes ->> ${name} = any(${parameters.add(segment.values, "text[]")}))`
    }
    case "Speaks":
      return `m.language is not distinct from ${parameters.add(segment.language, "text")}`
    case "OnList":
      return `exists (select from list_member l where l.list = ${
        parameters.add(segment.list, "text")
      } and l.member = m.id${end})`
    case "Members":
      return `m.id = any(${parameters.add(segment.ids, "text[]")})`
    case "EventMember":
      return "false"
    case "All":
      return `(${segment.of.map((each) => conditionSql(each, now, parameters, end)).join(" and ")})`
    case "Any":
      return `(${segment.of.map((each) => conditionSql(each, now, parameters, end)).join(" or ")})`
    case "Not":
      return `not ${conditionSql(segment.of, now, parameters, end)}`
  }
}

/** The driver's rows: table, alias, condition. */
const driverSql = (
  driver: NonNullable<Branch["driver"]>,
  now: number,
  parameters: Parameters
): { readonly from: string; readonly alias: string; readonly condition: string } => {
  switch (driver._tag) {
    case "OnList":
      return { from: "list_member l", alias: "l", condition: `l.list = ${parameters.add(driver.list, "text")}` }
    case "Favourited":
      return { from: "favourite f", alias: "f", condition: rows(driver, now, parameters, true) }
    case "Did":
      return { from: "member_activity a", alias: "a", condition: rows(driver, now, parameters, true) }
  }
}

/** A branch as a query of `id`, each once, and the column in whose order it can be read. */
interface BranchSql {
  readonly text: string
  readonly order: string
}

/** Members whom a driver yields, each once. */
const once = (driver: NonNullable<Branch["driver"]>, key: string, from: string, parameters: Parameters): string => {
  const atLeast = driver._tag === "Did" ? driver.atLeast ?? 1 : 1
  return atLeast === 1
    ? `select distinct on (${key}) ${key} as id ${from}`
    : `select ${key} as id ${from} group by ${key} having sum(a.count) >= ${parameters.add(atLeast, "bigint")}`
}

/**
 * A page of a branch, but for its order and limit. The driver is read in the order of its index, and each member looked up by
 * key: `limit 1` keeps PostgreSQL from joining otherwise, which for a page means reading all of the driver or all members.
 */
const pageSql = ({ driver, rest }: Branch, after: string | null, now: number, parameters: Parameters): BranchSql => {
  const beyond = (key: string) => after === null ? [] : [`${key} > ${parameters.add(after, "text")}`]
  const conditions = ["not m.withdrawn", ...rest.map((each) => conditionSql(each, now, parameters, byMember))]
  if (driver === null) {
    return {
      text: `select m.id from member m where ${[...beyond("m.id"), ...conditions].join(" and ")}`,
      order: "m.id"
    }
  }
  const { alias, condition, from } = driverSql(driver, now, parameters)
  const key = `${alias}.member`
  const member = `select 1 from member m where ${[`m.id = ${key}`, ...conditions].join(" and ")} limit 1`
  const where = [condition, ...beyond(key)].join(" and ")
  return { text: once(driver, key, `from ${from}, lateral (${member}) found\nwhere ${where}`, parameters), order: key }
}

/** All members of a branch, each once; PostgreSQL joins as it likes. */
const wholeSql = ({ driver, rest }: Branch, now: number, parameters: Parameters): string => {
  const conditions = ["not m.withdrawn", ...rest.map((each) => conditionSql(each, now, parameters, ""))]
  if (driver !== null) {
    const { alias, condition, from } = driverSql(driver, now, parameters)
    const found = once(driver, `${alias}.member`, `from ${from} where ${condition}`, parameters)
    conditions.unshift(`m.id in (${found})`)
  }
  return `select m.id from member m where ${conditions.join(" and ")}`
}

/**
 * A segment's pages: ids greater than `after` (null: from the beginning), at most `limit`, in the order of ids, as of `now`
 * (ms). Fewer than `limit` means that there are no more. Resolve `$event` first.
 */
export const compileSegment = (segment: Segment): (after: string | null, limit: number, now: number) => SegmentPage => {
  const ways = branches(segment)
  return (after, limit, now) => {
    const parameters = new Parameters()
    const count = parameters.add(limit, "bigint")
    const pages = ways.map((way) => {
      const { order, text } = pageSql(way, after, now, parameters)
      return `${text}\norder by ${order} limit ${count}`
    })
    const [only] = pages
    const text = pages.length === 1 && only !== undefined
      ? only
      : `select id from (\n${pages.map((page) => `(${page})`).join("\nunion\n")}\n) u order by id limit ${count}`
    return { text, values: parameters.values }
  }
}

/** All members of the segment as a query of `id`, each once. */
const everyone = (segment: Segment, now: number, parameters: Parameters): string =>
  branches(segment).map((way) => `(${wholeSql(way, now, parameters)})`).join("\nunion\n")

/** How many members the segment has, whether or not they can be written to: one row, `count`. */
export const countSegment = (segment: Segment, now: number): SegmentPage => {
  const parameters = new Parameters()
  return {
    text: `select count(*)::float8 as count from (\n${everyone(segment, now, parameters)}\n) u`,
    values: parameters.values
  }
}

/** Members of the segment at random, the same ones for the same `seed`: rows of `id`. Reads the whole segment. */
export const sampleSegment = (segment: Segment, now: number, limit: number, seed: string): SegmentPage => {
  const parameters = new Parameters()
  const members = everyone(segment, now, parameters)
  return {
    text: `select id from (\n${members}\n) u order by md5(id || ${parameters.add(seed, "text")}), id limit ${
      parameters.add(limit, "bigint")
    }`,
    values: parameters.values
  }
}
