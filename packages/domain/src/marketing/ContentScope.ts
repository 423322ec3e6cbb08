/** What templates can take: the names, and the values for one recipient. Both are made here, so that they agree. */
import type { Attributes } from "./Event.ts"
import type { RuleProduct } from "./RuleScope.ts"
import type { ScopeValue } from "./Template.ts"
import { TrustedHtml } from "./TemplateEngine.ts"

export interface ContentSubject {
  readonly campaign: { readonly id: string; readonly name: string }
  readonly member: {
    readonly id: string
    readonly language: string | null
    readonly attributes: Attributes
  }
  /** Null where the run is about no product. */
  readonly product: RuleProduct | null
  /** The delivery's own. */
  readonly parameters: Attributes
  /** The day's banners as HTML, made by this system; absent where the campaign has none. */
  readonly banners?: string | undefined
  readonly unsubscribeUrl?: string | undefined
}

const present = (values: Readonly<Record<string, ScopeValue | undefined>>): Record<string, ScopeValue> => {
  const kept: Record<string, ScopeValue> = {}
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== undefined) kept[name] = value
  return kept
}

/** The scope of one rendering. What is not known of the product or member is absent: using it is a fault. */
export const contentScope = (subject: ContentSubject): Readonly<Record<string, ScopeValue>> => {
  const { banners, campaign, member, parameters, product, unsubscribeUrl } = subject
  return present({
    campaign: { id: campaign.id, name: campaign.name },
    member: present({ id: member.id, language: member.language, attributes: member.attributes }),
    product: product === null ? undefined : present({
      id: product.id,
      name: product.name,
      price: product.price,
      category: product.category,
      brand: product.brand,
      stock: product.stock,
      attributes: product.attributes
    }),
    parameters,
    banners: banners === undefined ? undefined : new TrustedHtml(banners),
    unsubscribe_url: unsubscribeUrl
  })
}

/**
 * The names that templates of a campaign may use, for `missingVariables`: `parameters` are the names that its trigger gives,
 * or null where any may come; `product` tells whether its runs are about one.
 */
export const contentVariables = (
  parameters: ReadonlyArray<string> | null,
  product: boolean
): ReadonlyArray<string> => [
  "campaign.id",
  "campaign.name",
  "member.id",
  "member.language",
  "member.attributes.*",
  ...(product
    ? [
      "product.id",
      "product.name",
      "product.price",
      "product.category",
      "product.brand",
      "product.stock",
      "product.attributes.*"
    ]
    : []),
  ...(parameters === null ? ["parameters.*"] : parameters.map((name) => `parameters.${name}`)),
  "banners",
  "unsubscribe_url"
]
