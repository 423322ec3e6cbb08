/**
 * The Complete Journey data (84.51°, from a CC0 package) as a shop: households as members, transactions as purchases, and
 * those of its campaigns that lie within the shared transactions as definitions. Who is addressed is ours: the data set tells
 * only who was.
 */
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { Segment } from "@hikyaku/domain/marketing/Segment"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"

const folder = fileURLToPath(new URL("../../../../../shared/data/complete-journey/", import.meta.url))
const transactionsFile = "transactions_2017-01_2017-08.csv.gz"
export const hasCompleteJourney = existsSync(folder + transactionsFile)

export const timeZone = "America/New_York"
const day = 86_400_000

/** No field that is read here is quoted. */
const records = (name: string): ReadonlyArray<ReadonlyArray<string>> => {
  const bytes = readFileSync(folder + name)
  const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  return text.trimEnd().split(/\r?\n/u).slice(1).map((line) => line.split(","))
}

export interface Transaction {
  readonly household: string
  readonly product: string
  readonly quantity: number
  readonly at: number
}
export interface JourneyCampaign {
  readonly number: string
  readonly type: string
  /** ms since the epoch. */
  readonly from: number
  readonly definition: CampaignDefinition
}
export interface Journey {
  readonly transactions: ReadonlyArray<Transaction>
  readonly products: ReadonlyArray<{ readonly id: string; readonly department: string; readonly brand: string }>
  readonly ages: ReadonlyMap<string, string>
  readonly received: ReadonlyArray<{ readonly campaign: string; readonly household: string }>
  readonly campaigns: ReadonlyArray<JourneyCampaign>
}

/** By the data set's types: everybody of late, those who had it and buy groceries, the middle-aged with a taste. */
const segmentOf = (type: string, number: string): Segment => {
  const bought = { _tag: "Did" as const, activity: "bought" as const }
  switch (type) {
    case "Type A":
      return { _tag: "All", of: [{ ...bought, withinDays: 30, atLeast: 3 }] }
    case "Type B":
      return {
        _tag: "All",
        of: [
          { _tag: "OnList", list: `cj-${number}` },
          { ...bought, of: { category: "GROCERY" }, withinDays: 28, atLeast: 2 }
        ]
      }
    default:
      return {
        _tag: "All",
        of: [
          { _tag: "AttributeIn", name: "age", values: ["35-44", "45-54"] },
          {
            _tag: "Any",
            of: [
              { ...bought, of: { brand: "Private" }, withinDays: 14 },
              { ...bought, of: { category: "DRUG GM" }, withinDays: 28 }
            ]
          },
          { _tag: "Not", of: { ...bought, of: { category: "PRODUCE" }, withinDays: 7 } }
        ]
      }
  }
}

export const readJourney = (): Journey => {
  const transactions = records(transactionsFile).map((fields): Transaction => ({
    household: fields[0]!,
    product: fields[3]!,
    quantity: Math.max(1, Math.round(Number(fields[4]))),
    at: Date.parse(fields[10]!)
  }))
  const sold = new Set(transactions.map(({ product }) => product))
  const [first, last] = [transactions[0]!.at, transactions.at(-1)!.at]
  return {
    transactions,
    products: records("products.csv.gz").flatMap(([id = "", , department = "", brand = ""]) =>
      sold.has(id) ? [{ id, department, brand }] : []
    ),
    ages: new Map(records("demographics.csv").map(([household = "", age = ""]) => [household, age])),
    received: records("campaigns.csv").map(([campaign = "", household = ""]) => ({ campaign, household })),
    campaigns: records("campaign_descriptions.csv").flatMap(
      ([number = "", type = "", from = "", until = ""]): ReadonlyArray<JourneyCampaign> => {
        if (Date.parse(from) > last || Date.parse(until) < first) return []
        return [{
          number,
          type,
          from: Math.max(first, Date.parse(from)),
          definition: {
            id: `cj-${number}`,
            name: `Campaign ${number} (${type})`,
            trigger: { _tag: "Cron", cron: "0 10 * * 1", timeZone },
            period: { from, until },
            class: "batch",
            priority: type === "Type A" ? 300 : 200,
            channels: ["mail"],
            segment: segmentOf(type, number),
            caps: [{ count: 1, windowMs: 7 * day }],
            deadlineMs: 2 * day,
            timePolicy: { _tag: "Immediate" },
            content: { en: { mail: { subject: "An offer", html: "<p>An offer</p>", text: "An offer" } } }
          }
        }]
      }
    )
  }
}
