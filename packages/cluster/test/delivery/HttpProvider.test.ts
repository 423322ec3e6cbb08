/** Configuration of the bulk provider: what it promises must be said. */
import { httpProviderConfig } from "@hikyaku/cluster/delivery/HttpProvider"
import { ConfigProvider, Duration, Effect, Either } from "effect"
import { describe, expect, it } from "vitest"

const read = (settings: Record<string, string>) =>
  Effect.runSync(
    httpProviderConfig.pipe(
      Effect.withConfigProvider(
        ConfigProvider.fromMap(
          new Map(
            Object.entries({ URL: "http://127.0.0.1:8025", ...settings }).map(([name, value]) => [
              `HIKYAKU_PROVIDER_${name}`,
              value
            ])
          ),
          { pathDelim: "_", seqDelim: "," }
        )
      ),
      Effect.mapError(String),
      Effect.either
    )
  )

describe("the bulk provider's configuration (R21)", () => {
  it("repeats with a key only where it is said how long the provider knows it", () => {
    expect(read({})).toMatchObject({ right: { reconciliation: "history" } })
    expect(read({ RECONCILIATION: "retry-key" })).toEqual(
      Either.left(expect.stringContaining("how long the provider recognises"))
    )
    expect(read({ RECONCILIATION: "retry-key", RETRY_KEY_VALIDITY: "24 hours" })).toMatchObject({
      right: { retryKeyValidity: Duration.hours(24) }
    })
    expect(Either.isLeft(read({ RECONCILIATION: "retry-key", RETRY_KEY_VALIDITY: "0 millis" }))).toBe(true)
  })
})
