/**
 * Products as rules, templates and previews see them: what was published of them, and what is left of them as the Product
 * actor's row has it at this moment. The catalogue's own figure only follows what was stated when stock ran low, ran out or
 * came back: of a product that never did it knows none.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Effect } from "effect"

/** Those of the products named that were ever published, in no order. */
export const productsOf = (
  ids: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<RuleProduct>, SqlError.SqlError, SqlClient.SqlClient> =>
  ids.length === 0 ? Effect.succeed([]) : Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql<RuleProduct>`
      select c.id, c.name, c.price, c.category, c.brand, coalesce(p.available::int, c.available) as stock, c.attributes
      from catalogue_product c left join product p on p.id = c.id
      where c.id in ${sql.in([...new Set(ids)])}`
  )
