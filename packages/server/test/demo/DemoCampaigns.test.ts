/** The demo runs the example campaigns, and says in what they differ. */
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { adapted, documentOf } from "@hikyaku/server/demo/DemoCampaigns"
import { Either } from "effect"
import { describe, expect, it } from "vitest"
import { example } from "../../../domain/test/marketing/CampaignExamples.ts"

describe("the demo's campaigns", () => {
  it.each(adapted)("$file is the example but for what is listed, and can run", (each) => {
    const original = example(each.file)
    const document: Record<string, unknown> = documentOf(each, original)
    const differing = [...new Set([...Object.keys(original), ...Object.keys(document)])]
      .filter((field) => JSON.stringify(original[field]) !== JSON.stringify(document[field]))
    const listed = [...each.without, ...Object.keys(each.instead)]
    expect(listed).toEqual(expect.arrayContaining(differing))
    // What is left out was there.
    expect(each.without.filter((field) => !(field in original))).toEqual([])
    const valid = validateCampaign(document, { timeZone: "Asia/Tokyo", customTypes: {} })
    expect(Either.isLeft(valid) ? valid.left : []).toEqual([])
    // Content of channels that are not used here is no mistake.
    const warned = Either.isRight(valid) ? valid.right.warnings.filter(({ path }) => path[0] !== "content") : []
    expect(warned).toEqual([])
  })
})
