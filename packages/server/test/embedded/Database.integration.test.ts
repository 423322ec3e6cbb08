import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { freshDatabase } from "../../../../test/Database.ts"
import { query } from "./Sql.ts"

describe("freshDatabase", () => {
  it.scopedLive("gives everyone a database of their own, which goes with the scope", () =>
    Effect.gen(function*() {
      const names = yield* Effect.scoped(Effect.gen(function*() {
        const [one, other] = yield* Effect.all([freshDatabase(), freshDatabase()], { concurrency: 2 })
        yield* query(one.url, "CREATE TABLE mine (id int)")
        assert.deepStrictEqual(yield* query(other.url, "SELECT to_regclass('mine') AS mine"), [{ mine: null }])
        return [one, other].map(({ url }) => new URL(url).pathname.slice(1))
      }))
      const left = yield* query(
        inject("postgresUrl"),
        `SELECT datname FROM pg_database WHERE datname IN (${names.map((name) => `'${name}'`).join(", ")})`
      )
      assert.deepStrictEqual(left, [])
    }))
})
