/** The shape of a parsed template: how deep its blocks go, and where in an HTML document each of its values stands. */
import {
  AssignTag,
  BreakTag,
  CaseTag,
  CommentTag,
  ContinueTag,
  ForTag,
  IfTag,
  InlineCommentTag,
  Output,
  type Template as Node,
  UnlessTag
} from "liquidjs"
import { type ContentFault, fault, Refusal } from "./ContentFault.ts"
import { documentStart, type HtmlPlace, isSafeUrl, readHtml, readValue, samePlace } from "./HtmlPlace.ts"

/** Deepest nesting of blocks. */
export const nestingMax = 20

const positionOf = (node: Node): readonly [number, number] => {
  const [line = 1, column = 1] = node.token.getPosition()
  return [line, column]
}

/** The blocks inside a tag: where a reader goes through one of them, or through none. */
const blocksOf = (
  node: Node
): { readonly blocks: ReadonlyArray<ReadonlyArray<Node>>; readonly exhaustive: boolean } => {
  if (node instanceof IfTag || node instanceof UnlessTag || node instanceof CaseTag) {
    const branches = node.branches.map((branch) => branch.templates)
    return node.elseTemplates === undefined || node.elseTemplates.length === 0
      ? { blocks: branches, exhaustive: false }
      : { blocks: [...branches, node.elseTemplates], exhaustive: true }
  }
  if (node instanceof ForTag) return { blocks: [node.templates, node.elseTemplates], exhaustive: false }
  return { blocks: [], exhaustive: false }
}

/** What the parser takes of blocks and of brackets within one another: more than ever means something, far below its stack's end. */
const parsedNestingMax = 100
/** Tags that open a block. */
const blockTags: ReadonlySet<string> = new Set(["if", "unless", "case", "for", "comment"])
const tagName = /-?\s*(#|[a-z]*)/y

/**
 * Throws a refusal when a source nests so deeply that the parser, which recurses, could reach the end of its stack. Asked
 * before it sees any of it: an engine that has to compile a regular expression there ends the whole process.
 */
export const checkSourceNesting = (source: string): void => {
  const refuse = (): never => {
    throw new Refusal("TooNested", `blocks or brackets are nested more than ${parsedNestingMax} deep`)
  }
  let blocks = 0
  let brackets = 0
  let inside = false
  let quote = ""
  for (let i = 0; i < source.length; i++) {
    const c = source[i]!
    if (!inside) {
      const next = source[i + 1]
      if (c !== "{" || (next !== "{" && next !== "%")) continue
      inside = true
      brackets = 0
      i++
      if (next === "{") continue
      tagName.lastIndex = i + 1
      const name = tagName.exec(source)?.[1] ?? ""
      if (blockTags.has(name)) {
        if (++blocks > parsedNestingMax) refuse()
      } else if (name.startsWith("end")) blocks--
    } else if (quote !== "") {
      if (c === "\\") i++
      else if (c === quote) quote = ""
    } else if (c === "'" || c === "\"") quote = c
    else if (c === "[" || c === "(") {
      if (++brackets > parsedNestingMax) refuse()
    } else if (c === "]" || c === ")") brackets--
    else if ((c === "}" || c === "%") && source[i + 1] === "}") {
      inside = false
      i++
    }
  }
}

/** Throws a refusal when blocks are nested too deeply. */
export const checkNesting = (nodes: ReadonlyArray<Node>, depth: number): void => {
  for (const node of nodes) {
    const { blocks } = blocksOf(node)
    if (blocks.length > 0 && depth >= nestingMax) {
      const [line, column] = positionOf(node)
      throw new Refusal(
        "TooNested",
        `blocks are nested more than ${nestingMax} deep, at line ${line}, column ${column}`
      )
    }
    for (const block of blocks) checkNesting(block, depth + 1)
  }
}

/** A value, or a way through the template, that is not safe in HTML. */
export class PlaceFault extends Error {
  readonly fault: ContentFault
  constructor(fault: ContentFault) {
    super(fault.message)
    this.fault = fault
  }
}
const unsafe = (node: Node, message: string, hint: string | null = null): PlaceFault =>
  new PlaceFault(fault("UnsafePlace", message, positionOf(node), hint))

/** Makes an output outside of running text refuse HTML of our own and, where it is a whole URL, links that do harm. */
const checkOutput = (output: Output, isUrl: boolean): void => {
  const render = output.render.bind(output)
  output.render = function*(context, emitter) {
    let buffer = ""
    yield* render(context, {
      buffer,
      write: (html: unknown) => {
        buffer += String(html)
      }
    })
    // Nothing that was escaped contains any of these.
    if (/[<>"']/.test(buffer)) throw new Refusal("BadValue", "is HTML, which stands in text only")
    if (isUrl && !isSafeUrl(buffer)) {
      throw new Refusal("BadValue", "is not a link that may be followed", "use an https: address")
    }
    emitter.write(buffer)
  }
}

/** Follows the document through the template; every way through it must lead to the same place. */
const followHtml = (nodes: ReadonlyArray<Node>, from: HtmlPlace, loop: HtmlPlace | null): HtmlPlace => {
  let place = from
  for (const node of nodes) {
    if (node instanceof Output) {
      const value = readValue(place)
      if (value._tag === "Refused") throw unsafe(node, value.why)
      if (place.at !== "text") checkOutput(node, value.checked)
      place = value.next
    } else if (node instanceof BreakTag || node instanceof ContinueTag) {
      if (loop !== null && !samePlace(place, loop)) throw unsafe(node, "leaves the loop in the middle of a tag")
    } else {
      const { blocks, exhaustive } = blocksOf(node)
      const isLoop = node instanceof ForTag
      if (
        blocks.length === 0 &&
        !(node instanceof AssignTag || node instanceof CommentTag || node instanceof InlineCommentTag)
      ) {
        place = readHtml(place, node.token.getText())
        continue
      }
      const ends = blocks.map((block) => followHtml(block, place, isLoop ? place : loop))
      const [first] = ends
      const target = exhaustive && first !== undefined ? first : place
      if (ends.some((end) => !samePlace(end, target))) {
        throw unsafe(
          node,
          "its ways end in different parts of a tag",
          "put whole tags or whole attributes into each block"
        )
      }
      place = target
    }
  }
  return place
}

/** Throws a `PlaceFault` unless every value of an HTML template stands where escaping makes it safe. */
export const checkPlaces = (nodes: ReadonlyArray<Node>): void => {
  const end = followHtml(nodes, documentStart, null)
  if (end.at !== "text") throw new PlaceFault(fault("UnsafePlace", `ends inside a tag or element (${end.element})`))
}
