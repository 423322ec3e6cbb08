/** The campaigns of `examples/campaigns`, as documents. */
import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("../../../../examples/campaigns/", import.meta.url)

export const exampleNames: ReadonlyArray<string> = readdirSync(folder).filter((name) => name.endsWith(".json")).sort()

/** A copy that a test may change. */
export const example = (name: string): Record<string, unknown> => {
  const document: unknown = JSON.parse(readFileSync(new URL(name, folder), "utf8"))
  if (typeof document !== "object" || document === null) throw new Error(`${name} is no object`)
  return { ...document }
}

export const exampleText = (name: string): string => readFileSync(new URL(name, folder), "utf8")
