/**
 * What no payload may hold, whatever its schema says: MessagePack can carry values that JSON cannot, and text can hold what
 * no store takes. Refused here once, they cannot turn up anywhere behind (R2).
 */
import { type BadInput, badInput } from "@hikyaku/domain/api/BadInput"
import { showPath } from "@hikyaku/domain/marketing/DocumentFault"

/** Deepest nesting of a payload. */
export const depthMax = 40
/** Values in one payload. */
export const valuesMax = 500_000

const textFault = (text: string): string | null => {
  const nul = text.indexOf("\u0000")
  if (nul >= 0) return `holds U+0000 at character ${nul}`
  return text.isWellFormed() ? null : "holds a lone surrogate (half of a character)"
}

type Path = ReadonlyArray<string | number>

/** The first thing that is wrong with a payload, or null. */
export const payloadFault = (payload: unknown): BadInput | null => {
  let values = 0
  const judge = (value: unknown, path: Path): BadInput | null => {
    if (++values > valuesMax) return badInput("", `holds more than ${valuesMax} values`)
    switch (typeof value) {
      case "string": {
        const fault = textFault(value)
        return fault === null ? null : badInput(showPath(path), fault)
      }
      case "number":
        return Number.isFinite(value) ? null : badInput(showPath(path), `${value} is no number`)
      case "boolean":
      case "undefined":
        return null
      case "object":
        break
      default:
        return badInput(showPath(path), `a ${typeof value} cannot be taken`)
    }
    if (value === null) return null
    if (path.length >= depthMax) return badInput("", `is nested deeper than ${depthMax}`)
    if (Array.isArray(value)) {
      for (let n = 0; n < value.length; n++) {
        const fault = judge(value[n], [...path, n])
        if (fault !== null) return fault
      }
      return null
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      // Records of MessagePack are made by small classes of the decoder; dates, maps and bytes are no JSON values.
      if (value instanceof Date || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) {
        return badInput(showPath(path), "is no JSON value")
      }
    }
    for (const [name, field] of Object.entries(value)) {
      const fault = textFault(name)
      if (fault !== null) return badInput(showPath(path), `a field's name ${fault}`)
      const below = judge(field, [...path, name])
      if (below !== null) return below
    }
    return null
  }
  return judge(payload, [])
}
