/** Where a text stops being JSON: the engine's own message names a place only sometimes. */

const token = {
  // Between the quotes: from U+0020 on, save the quote and the backslash; and escapes.
  string: /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*"/y,
  number: /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y,
  literal: /true|false|null/y,
  space: /[ \t\n\r]*/y
}

const lengthAt = (pattern: RegExp, text: string, index: number): number => {
  pattern.lastIndex = index
  return pattern.exec(text)?.[0].length ?? 0
}

/** 0-based index of the first token that does not belong; the text's length if something is missing at its end. */
export const jsonFaultAt = (text: string): number => {
  let index = 0
  const open: Array<"{" | "["> = []
  let want: "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "next" = "value"
  for (;;) {
    index += lengthAt(token.space, text, index)
    const next = text[index]
    const container = open.at(-1)
    if (next === undefined || (want === "next" && container === undefined)) return index
    const closes = (next === "}" && container === "{" && (want === "keyOrEnd" || want === "next")) ||
      (next === "]" && container === "[" && (want === "valueOrEnd" || want === "next"))
    if (closes) {
      open.pop()
      index += 1
      want = "next"
    } else if (want === "next") {
      if (next !== ",") return index
      index += 1
      want = container === "{" ? "key" : "value"
    } else if (want === "colon") {
      if (next !== ":") return index
      index += 1
      want = "value"
    } else if (want === "key" || want === "keyOrEnd") {
      const length = lengthAt(token.string, text, index)
      if (length === 0) return index
      index += length
      want = "colon"
    } else if (next === "{" || next === "[") {
      open.push(next)
      index += 1
      want = next === "{" ? "keyOrEnd" : "valueOrEnd"
    } else {
      const length = lengthAt(token.string, text, index) || lengthAt(token.number, text, index) ||
        lengthAt(token.literal, text, index)
      if (length === 0) return index
      index += length
      want = "next"
    }
  }
}
