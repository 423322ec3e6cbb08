/**
 * The campaigns of the demo: those of `examples/campaigns` that its events set off, but for what a replay cannot have. A
 * falling price, the last one of a product and its return into stock go to those who favour it, a weekly letter to those who
 * bought; few messages per member are allowed, so that caps decide.
 */
import { Hikyaku } from "@hikyaku/domain/api/Client"
import { Effect } from "effect"
import { readFile } from "node:fs/promises"
import { CampaignRefused } from "./DemoError.ts"

/** Beside the packages: the demo is run from the repository. */
const folder = new URL("../../../../examples/campaigns/", import.meta.url)

/** The demo's only provider takes mail. */
const mailOnly = { channels: ["mail"] }

/** An example, the fields that stand otherwise here, and those that are left out. */
interface Adapted {
  readonly file: string
  readonly instead: Readonly<Record<string, unknown>>
  readonly without: ReadonlyArray<string>
}
export const adapted: ReadonlyArray<Adapted> = [
  // Who favours a product is derived from who bought it: without those who have bought it nobody would be left.
  { file: "price-drop.json", instead: mailOnly, without: ["exclude"] },
  { file: "last-one.json", instead: mailOnly, without: ["exclude"] },
  { file: "back-in-stock.json", instead: mailOnly, without: ["exclude"] },
  // The replayed days lie before its period began.
  { file: "weekly.json", instead: mailOnly, without: ["period"] }
]

/** What is stored for an example: plain JSON, which the server checks like anybody's. */
export const documentOf = ({ instead, without }: Adapted, example: Readonly<Record<string, unknown>>) => ({
  ...Object.fromEntries(Object.entries(example).filter(([field]) => !without.includes(field))),
  ...instead
})

const read = (file: string) =>
  Effect.tryPromise({
    try: async (): Promise<Readonly<Record<string, unknown>>> =>
      JSON.parse(await readFile(new URL(file, folder), "utf8")),
    catch: (error) => new CampaignRefused({ campaign: file, reason: String(error) })
  })

/** Stores them in the shop; what was stored before in the same words stays as it is. */
export const applyCampaigns: Effect.Effect<void, CampaignRefused, Hikyaku> = Effect.gen(function*() {
  const client = yield* Hikyaku
  for (const each of adapted) {
    const refused = (reason: string) => new CampaignRefused({ campaign: each.file, reason })
    const document = documentOf(each, yield* read(each.file))
    const answer = yield* client.campaign.apply({ document, author: "demo" }).pipe(
      Effect.mapError((error) => refused(`${error._tag}: ${error.message}`))
    )
    if (answer._tag === "Invalid") {
      return yield* refused(answer.faults.map(({ message, path }) => `${path}: ${message}`).join("; "))
    }
    if (answer._tag !== "Applied") return yield* refused(answer._tag)
  }
})
