/** Products and members that a generated shop opens with. */
import type { GeneratedShopOptions } from "./GeneratedShopOptions.ts"
import type { SeededRandom, Zipf } from "./SeededRandom.ts"
import type { MemberOpening, ProductOpening } from "./Step.ts"

/** Products a visit looks at, on average; chance that a look becomes a favourite, and a cart add; pieces per add. */
export const viewsPerSession = 3
export const favouriteChance = 0.06
export const cartAddChance = 0.15
export const secondPieceChance = 0.1

const categories = ["Coat", "Dress", "Knit", "Shirt", "Skirt", "Sneakers", "Bag", "Scarf"] as const
const colours = ["Ivory", "Navy", "Charcoal", "Moss", "Vermilion", "Camel", "Indigo", "Plum"] as const
const brands = ["Asagi", "Kinu & Co", "Hinata", "North Alley", "Tsumugi", "Yamabuki"] as const
const regions = ["Hokkaido", "Tohoku", "Kanto", "Chubu", "Kansai", "Chugoku", "Shikoku", "Kyushu"] as const

/**
 * Products by rank of popularity. The top tenth opens with half of what is expected to be added to carts, so that it sells
 * out; the others with half as much again and 8 pieces.
 */
export const generateProducts = (
  options: GeneratedShopOptions,
  random: SeededRandom,
  zipf: Zipf
): ReadonlyArray<ProductOpening> =>
  Array.from({ length: options.products }, (_, rank) => {
    const category = random.pick(categories)
    const colour = random.pick(colours)
    const expected = options.days * options.sessionsPerDay * viewsPerSession * cartAddChance * (1 + secondPieceChance) *
      zipf.probability(rank)
    const isPopular = rank < options.products / 10
    return {
      _tag: "ProductOpening",
      at: options.start,
      product: `P${String(rank + 1).padStart(5, "0")}`,
      name: `${colour} ${category} ${rank + 1}`,
      // Prices end in 90 yen.
      price: random.between(19, 299) * 100 + 90,
      stock: isPopular ? Math.floor(expected / 2) + 1 : Math.ceil(expected * 1.5) + 8,
      category,
      brand: random.pick(brands),
      attributes: { colour, season: random.pick(["spring", "autumn"]) }
    }
  })

export const generateMembers = (
  options: GeneratedShopOptions,
  random: SeededRandom
): ReadonlyArray<MemberOpening> =>
  Array.from({ length: options.members }, (_, index) => {
    const member = `M${String(index + 1).padStart(6, "0")}`
    const abroad = random.chance(0.04)
    return {
      _tag: "MemberOpening",
      at: options.start,
      member,
      // A domain that never resolves (RFC 2606): nobody can be reached by accident.
      address: `${member.toLowerCase()}@shop.invalid`,
      language: abroad ? "en" : "ja",
      timeZone: abroad ? random.pick(["Asia/Singapore", "Europe/London", "America/New_York"]) : "Asia/Tokyo",
      attributes: {
        region: abroad ? "abroad" : random.pick(regions),
        rank: random.pick(["regular", "regular", "regular", "silver", "gold"]),
        age: random.between(18, 69)
      },
      consent: {
        mail: random.chance(0.9),
        line: random.chance(0.45),
        push: random.chance(0.5),
        onsite: true
      }
    }
  })
