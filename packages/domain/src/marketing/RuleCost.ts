/**
 * An upper bound on the work one judgement of a CEL expression can cause, from its text alone: CEL always ends, but nested
 * comprehensions and doubled lists grow with every level. Values from outside are counted with the sizes assumed below.
 */
import type { ASTNode } from "@marcbachmann/cel-js"

/** Assumed bounds on what an event, product or member carries. */
export const assumed = {
  /** Characters of a text field. */
  text: 1_000,
  /** Entries of an attribute map. */
  entries: 100,
  /** Elements of a list field. */
  list: 1_000
} as const

/** What a value may amount to: how often iterating over it turns, and how many characters copying it moves. */
interface Size {
  readonly items: number
  readonly weight: number
}
interface Estimate extends Size {
  readonly cost: number
}

const scalar: Size = { items: 1, weight: 8 }
const unknownField: Size = { items: assumed.list, weight: assumed.list * 36 }
const textField: Size = { items: assumed.text, weight: assumed.text }
const mapField: Size = { items: assumed.entries, weight: assumed.entries * 64 }

/** Characters and elements moved per unit of cost. */
const weightPerUnit = 100
const itemsPerUnit = 10
/** Formatting a time in a zone is far dearer than any other call. */
const zoneCallCost = 100

const iterators = new Set(["all", "exists", "exists_one", "map", "filter"])
const timeCall = /^get(Date|Day|Full|Hours|Milli|Minutes|Month|Seconds)/

type Scope = ReadonlyMap<string, Size>

const handling = (size: Size): number => 1 + size.weight / weightPerUnit

const join = (estimates: ReadonlyArray<Estimate>): Estimate => {
  let items = 0
  let weight = 0
  let cost = 0
  for (const each of estimates) {
    items += each.items
    weight += each.weight
    cost += each.cost
  }
  return { items, weight, cost }
}

const iterate = (receiver: Estimate, name: string, args: ReadonlyArray<ASTNode>, scope: Scope): Estimate => {
  const [variable, ...steps] = args
  const element: Size = {
    items: receiver.weight,
    weight: Math.ceil(receiver.weight / Math.max(1, receiver.items))
  }
  const inner = new Map(scope)
  if (variable?.op === "id") inner.set(variable.args, element)
  const each = steps.map((step) => estimate(step, inner))
  const turns = receiver.items
  const cost = receiver.cost + 1 + turns * (2 + each.reduce((sum, step) => sum + step.cost, 0))
  if (name === "filter") return { items: turns, weight: receiver.weight, cost }
  if (name === "map") {
    const made = each[each.length - 1] ?? { items: 1, weight: 8, cost: 0 }
    return { items: turns, weight: turns * made.weight, cost }
  }
  return { ...scalar, cost }
}

/** An upper bound of one evaluation, in steps of about 50 ns. */
const estimate = (node: ASTNode, scope: Scope): Estimate => {
  switch (node.op) {
    case "value":
      return typeof node.args === "string" ?
        { items: node.args.length, weight: node.args.length + 1, cost: 1 } :
        { ...scalar, cost: 1 }
    case "id":
      return { ...(scope.get(node.args) ?? mapField), cost: 1 }
    case ".": {
      const [owner, name] = node.args
      const base = estimate(owner, scope)
      const size = name === "attributes" || name === "data" || name === "consents" || name === "change" ?
        mapField :
        name === "tickets" ?
        unknownField :
        textField
      return { ...size, cost: base.cost + 1 }
    }
    case "[]": {
      const [owner, index] = node.args
      const base = estimate(owner, scope)
      return { items: base.weight, weight: base.weight, cost: base.cost + estimate(index, scope).cost + 1 }
    }
    case "list": {
      const all = join(node.args.map((each) => estimate(each, scope)))
      return { items: node.args.length, weight: all.weight + node.args.length, cost: all.cost + 1 }
    }
    case "map": {
      const all = join(node.args.flatMap(([key, value]) => [estimate(key, scope), estimate(value, scope)]))
      return { items: node.args.length, weight: all.weight + node.args.length, cost: all.cost + 1 }
    }
    case "?:": {
      const [condition, left, right] = node.args.map((each) => estimate(each, scope))
      const all = join([condition, left, right].filter((each) => each !== undefined))
      return all
    }
    case "!_":
    case "-_":
      return { ...scalar, cost: estimate(node.args, scope).cost + 1 }
    case "call": {
      const [, args] = node.args
      const all = join(args.map((each) => estimate(each, scope)))
      return { items: all.weight + 1, weight: all.weight + 64, cost: all.cost + handling(all) }
    }
    case "rcall": {
      const [name, receiver, args] = node.args
      if (name === "bind" && receiver.op === "id" && receiver.args === "cel") {
        const [variable, value, body] = args
        if (variable === undefined || value === undefined || body === undefined) return { ...scalar, cost: 1 }
        const bound = estimate(value, scope)
        const inner = new Map(scope)
        if (variable.op === "id") inner.set(variable.args, bound)
        const result = estimate(body, inner)
        return { ...result, cost: bound.cost + result.cost + 1 }
      }
      const base = estimate(receiver, scope)
      if (iterators.has(name)) return iterate(base, name, args, scope)
      const all = join([base, ...args.map((each) => estimate(each, scope))])
      const extra = timeCall.test(name) && args.length > 0 ?
        zoneCallCost :
        name === "split" ?
        base.weight / itemsPerUnit :
        0
      const separators = name === "join" ? all.items * (all.weight - base.weight) : 0
      return {
        items: all.weight + 1,
        weight: all.weight + separators + 64,
        cost: all.cost + handling(all) + separators / weightPerUnit + extra
      }
    }
    case "==":
    case "!=":
    case "in":
    case "<":
    case "<=":
    case ">":
    case ">=":
    case "||":
    case "&&": {
      const all = join(node.args.map((each) => estimate(each, scope)))
      const handled = node.op === "||" || node.op === "&&" ?
        1 :
        node.op === "in" ?
        1 + all.items / itemsPerUnit + all.weight / weightPerUnit :
        handling(all)
      return { ...scalar, cost: all.cost + handled }
    }
    case "+":
    case "-":
    case "*":
    case "/":
    case "%": {
      const all = join(node.args.map((each) => estimate(each, scope)))
      // Lists are copied element by element.
      const copied = node.op === "+" ? all.items / itemsPerUnit : 0
      return { items: all.items, weight: all.weight, cost: all.cost + handling(all) + copied }
    }
    default:
      // Optional access is switched off; whatever else a later parser may know is refused as too dear.
      return { items: Infinity, weight: Infinity, cost: Infinity }
  }
}

/** The most that one judgement of the expression can cost, in steps of about 50 ns; may be Infinity. */
export const costOf = (expression: ASTNode): number => estimate(expression, new Map()).cost
