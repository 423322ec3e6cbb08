/**
 * Filters of our own in templates, in place of Liquid's: dates without "now", without the machine's time zone and language,
 * and numbers with thousands apart. Pure.
 */
import { localAt } from "./LocalTime.ts"

const weekdays = {
  ja: ["日", "月", "火", "水", "木", "金", "土"],
  en: ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
}
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December"
]

export type Language = "ja" | "en"

/** Longest format of a date, characters. */
const formatMax = 100
const written = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/

/**
 * The local time (ms since the local epoch) of a date as parameters hold it: ms since the epoch, or text such as 2025-06-01,
 * 2025-06-01T09:00 (by the reader's clock) or 2025-06-01T09:00:00+09:00. Anything else, "now" included, is refused.
 */
const localOf = (value: unknown, zone: string): number | null => {
  if (typeof value === "number") {
    return Number.isFinite(value) && Math.abs(value) < 8e15 ? localAt(zone, Math.floor(value)) : null
  }
  if (typeof value !== "string") return null
  const parts = written.exec(value)
  if (parts === null) return null
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0))
  const utc = Date.UTC(year!, month! - 1, day, hour, minute, second)
  if (month! < 1 || month! > 12 || day! < 1 || day! > 31 || hour! > 23 || minute! > 59 || second! > 59) return null
  const offset = parts[7]
  if (offset === undefined) return utc
  if (offset === "Z") return localAt(zone, utc)
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6))
  return localAt(zone, utc - (offset[0] === "-" ? -minutes : minutes) * 60_000)
}

const two = (n: number): string => String(n).padStart(2, "0")

/** A date by strftime's directives (those that shops use), by the reader's clock and in their language. */
export const formatDate = (value: unknown, format: unknown, zone: string, language: Language): string => {
  const local = localOf(value, zone)
  if (local === null) throw new Error(`not a date: ${JSON.stringify(value) ?? "nothing"}`)
  const pattern = format === undefined ? language === "ja" ? "%Y年%-m月%-d日" : "%B %-d, %Y" : String(format)
  if (pattern.length > formatMax) throw new Error(`a date format is longer than ${formatMax} characters`)
  const date = new Date(local)
  const hour = date.getUTCHours()
  const month = date.getUTCMonth()
  const weekday = weekdays[language][date.getUTCDay()] ?? ""
  return pattern.replace(/%(-?)(.|$)/gu, (directive, dash: string, letter: string) => {
    const number = (n: number) => dash === "-" ? String(n) : two(n)
    switch (letter) {
      case "Y":
        return String(date.getUTCFullYear())
      case "y":
        return number(date.getUTCFullYear() % 100)
      case "m":
        return number(month + 1)
      case "d":
        return number(date.getUTCDate())
      case "e":
        return String(date.getUTCDate())
      case "H":
        return number(hour)
      case "I":
        return number(hour % 12 === 0 ? 12 : hour % 12)
      case "M":
        return number(date.getUTCMinutes())
      case "S":
        return number(date.getUTCSeconds())
      case "p":
        return language === "ja" ? hour < 12 ? "午前" : "午後" : hour < 12 ? "AM" : "PM"
      case "A":
        return language === "ja" ? `${weekday}曜日` : weekday
      case "a":
        return language === "ja" ? weekday : weekday.slice(0, 3)
      case "B":
        return language === "ja" ? `${month + 1}月` : months[month] ?? ""
      case "b":
        return language === "ja" ? `${month + 1}月` : (months[month] ?? "").slice(0, 3)
      case "%":
        return "%"
      default:
        throw new Error(`unknown directive ${directive} in a date format`)
    }
  })
}

/** A number with its thousands apart (1,980), with so many decimals, at most 6. */
export const formatNumber = (value: unknown, decimals: unknown): string => {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  if (typeof number !== "number" || !Number.isFinite(number) || Math.abs(number) >= 1e15) {
    throw new Error(`not a number: ${JSON.stringify(value) ?? "nothing"}`)
  }
  const places = decimals === undefined ? 0 : Number(decimals)
  if (!Number.isInteger(places) || places < 0 || places > 6) throw new Error("decimals are 0 to 6")
  const [whole = "0", fraction] = Math.abs(number).toFixed(places).split(".")
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",")
  const isZero = Number(Math.abs(number).toFixed(places)) === 0
  return `${number < 0 && !isZero ? "-" : ""}${grouped}${fraction === undefined ? "" : `.${fraction}`}`
}
