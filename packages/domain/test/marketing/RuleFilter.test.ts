import { type Member, unknownMember } from "@hikyaku/domain/marketing/MemberState"
import { type Filter, filterText, ruleFilter } from "@hikyaku/domain/marketing/RuleFilter"
import { describe, expect, it } from "vitest"

const member: Member = {
  ...unknownMember("m-1"),
  joined: true,
  language: "ja",
  attributes: { rank: "gold" },
  consents: { mail: true }
}
const judge = (filter: Filter | string, parameters = {}) =>
  ruleFilter(typeof filter === "string" ? filter : filterText(filter), {
    member,
    campaign: "c",
    product: null,
    parameters,
    now: Date.UTC(2025, 5, 2)
  })

describe("member filters", () => {
  it("CEL: passes, does not pass, or says why it could not be judged; nobody passes by a fault", () => {
    expect(judge("member.language == 'ja' && member.consents.mail")).toBeNull()
    expect(judge("member.language == 'en'")).toEqual({ why: null, fault: false })
    expect(judge("member.attributes.points > 3")).toEqual({ why: "No such key: points", fault: false })
    expect(judge("parameters.tier <= 2", { tier: 1 })).toBeNull()
    expect(judge("member.langage == 'en'")).toEqual({ why: "member has no field langage", fault: true })
    expect(judge("true ".repeat(5_000))).toMatchObject({ fault: true })
  })

  it("tables: a row that matches lets pass unless it says otherwise", () => {
    const table = (...rows: ReadonlyArray<ReadonlyArray<string>>): Filter => ({
      hit: "first",
      rows: [["when: member.attributes.rank", "when: member.language", "then: include"], ...rows]
    })
    expect(judge(table(["gold", "", ""]))).toBeNull()
    expect(judge(table(["gold", "ja", "false"], ["", "", "true"]))).toEqual({ why: "row 1", fault: false })
    expect(judge(table(["silver", "", "true"]))).toEqual({ why: null, fault: false })
    expect(judge("{\"hit\":\"first\",\"rows\":[[\"whn\"],[\"1\"]]}")).toMatchObject({ fault: true })
    expect(judge("{\"hit\":\"first\"")).toMatchObject({ fault: true })
  })
})
