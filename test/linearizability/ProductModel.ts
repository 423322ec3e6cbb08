/**
 * A product as a queue with stock, told as simply as possible and without a look at the decider: what is sequentially right
 * for the commands that the simulation sends. Time does not pass in it, so carts must outlast the history.
 */
import type { ProductCommand, ProductReply } from "@hikyaku/domain/stock/Product"
import type { Model } from "./Linearizability.ts"

type Standing = "Waiting" | "Offered" | "Allocated" | "Sold" | "Gone"

interface Ticket {
  readonly quantity: number
  readonly standing: Standing
  readonly sequence: number
  readonly order: string | null
}

export interface ProductModelState {
  readonly stock: number
  readonly sequence: number
  readonly tickets: ReadonlyMap<string, Ticket>
  /** Tickets in line, the next one first. */
  readonly line: ReadonlyArray<string>
  /** Tickets given up before they came. */
  readonly barred: ReadonlyMap<string, "Released" | "Cancelled" | "TimedOut">
}

/** What is compared of a reply: everything but the instants, which the model does not know. */
const comparable = (reply: ProductReply): string => {
  switch (reply._tag) {
    case "Allocated":
      return `Allocated ${reply.sequence}`
    case "Offered":
      return `Offered ${reply.quantity}`
    case "Bought":
      return `Bought ${reply.order} ${reply.sequence} ${reply.quantity}`
    default:
      return JSON.stringify(reply)
  }
}

const pieces = (state: ProductModelState, standing: Standing): number => {
  let sum = 0
  for (const ticket of state.tickets.values()) if (ticket.standing === standing) sum += ticket.quantity
  return sum
}

const available = (state: ProductModelState): number =>
  state.stock - pieces(state, "Allocated") - pieces(state, "Offered") - pieces(state, "Sold")

const withTicket = (state: ProductModelState, id: string, ticket: Ticket): ProductModelState => ({
  ...state,
  tickets: new Map([...state.tickets, [id, ticket]])
})

/** Whoever is next in line is offered what there is, strictly in order. */
const offer = (state: ProductModelState): ProductModelState => {
  const [head, ...line] = state.line
  const ticket = head === undefined ? undefined : state.tickets.get(head)
  if (head === undefined || ticket === undefined || ticket.quantity > available(state)) return state
  return offer(withTicket({ ...state, line }, head, { ...ticket, standing: "Offered" }))
}

const refused = (ticket: Ticket | undefined): ProductReply => ({
  _tag: "NotOpen",
  standing: ticket === undefined || ticket.standing === "Gone" ? "Unknown" : ticket.standing
})

type Step = { readonly state: ProductModelState; readonly output: ProductReply }

const add = (state: ProductModelState, command: Extract<ProductCommand, { _tag: "AddToCart" }>): Step => {
  const { quantity, ticket: id } = command
  const reason = state.barred.get(id)
  if (reason !== undefined) return { state, output: { _tag: reason } }
  if (state.line.length === 0 && quantity <= available(state)) {
    const sequence = state.sequence + 1
    return {
      state: { ...withTicket(state, id, { quantity, standing: "Allocated", sequence, order: null }), sequence },
      output: { _tag: "Allocated", sequence, expiresAt: 0 }
    }
  }
  if (!command.waitlist) return { state, output: { _tag: "SoldOut" } }
  const line = [...state.line, id]
  return {
    state: { ...withTicket(state, id, { quantity, standing: "Waiting", sequence: 0, order: null }), line },
    output: { _tag: "Waitlisted", position: line.length }
  }
}

const release = (state: ProductModelState, command: Extract<ProductCommand, { _tag: "ReleaseTicket" }>): Step => {
  const { reason, ticket: id } = command
  const ticket = state.tickets.get(id)
  const barred = state.barred.get(id)
  if (ticket?.standing === "Sold") return { state, output: refused(ticket) }
  if (ticket === undefined || ticket.standing === "Gone") {
    if (barred !== undefined) return { state, output: { _tag: barred } }
    return { state: { ...state, barred: new Map([...state.barred, [id, reason]]) }, output: { _tag: reason } }
  }
  const gone = withTicket(state, id, { ...ticket, standing: "Gone" })
  return { state: offer({ ...gone, line: state.line.filter((each) => each !== id) }), output: { _tag: reason } }
}

const confirm = (state: ProductModelState, id: string): Step => {
  const ticket = state.tickets.get(id)
  if (ticket?.standing === "Offered") {
    const sequence = state.sequence + 1
    return {
      state: { ...withTicket(state, id, { ...ticket, standing: "Allocated", sequence }), sequence },
      output: { _tag: "Allocated", sequence, expiresAt: 0 }
    }
  }
  if (ticket?.standing === "Allocated") {
    return { state, output: { _tag: "Allocated", sequence: ticket.sequence, expiresAt: 0 } }
  }
  if (ticket?.standing === "Waiting") {
    return { state, output: { _tag: "Waitlisted", position: state.line.indexOf(id) + 1 } }
  }
  return { state, output: refused(ticket) }
}

const buy = (state: ProductModelState, command: Extract<ProductCommand, { _tag: "BuyTicket" }>): Step => {
  const ticket = state.tickets.get(command.ticket)
  const bought = (sold: Ticket, order: string): ProductReply => ({
    _tag: "Bought",
    order,
    sequence: sold.sequence,
    quantity: sold.quantity
  })
  if (ticket?.standing === "Sold" && ticket.order === command.order) {
    return { state, output: bought(ticket, command.order) }
  }
  if (ticket?.standing !== "Allocated") return { state, output: refused(ticket) }
  const sold: Ticket = { ...ticket, standing: "Sold", order: command.order }
  return { state: withTicket(state, command.ticket, sold), output: bought(sold, command.order) }
}

const standing = (state: ProductModelState, id: string): ProductReply => {
  const ticket = state.tickets.get(id)
  switch (ticket?.standing) {
    case "Allocated":
      return { _tag: "Allocated", sequence: ticket.sequence, expiresAt: 0 }
    case "Offered":
      return { _tag: "Offered", until: 0, quantity: ticket.quantity }
    case "Waiting":
      return { _tag: "Waitlisted", position: state.line.indexOf(id) + 1 }
    case "Sold":
      return { _tag: "Bought", order: ticket.order ?? "", sequence: ticket.sequence, quantity: ticket.quantity }
    case "Gone":
    case undefined:
      return { _tag: state.barred.get(id) ?? "UnknownTicket" }
  }
}

const level = (state: ProductModelState): ProductReply => ({
  _tag: "StockLevel",
  takenIn: state.stock,
  shortage: Math.max(0, -available(state)),
  available: Math.max(0, available(state)),
  allocated: pieces(state, "Allocated"),
  offered: pieces(state, "Offered"),
  sold: pieces(state, "Sold"),
  waiting: state.line.length
})

const step = (state: ProductModelState, command: ProductCommand): Step => {
  switch (command._tag) {
    case "AddToCart":
      return add(state, command)
    case "ReleaseTicket":
      return release(state, command)
    case "ConfirmOffer":
      return confirm(state, command.ticket)
    case "BuyTicket":
      return buy(state, command)
    case "ReadTicket":
      return { state, output: standing(state, command.ticket) }
    case "ReadStock":
      return { state, output: level(state) }
    case "ChangeStock": {
      if (command.change._tag !== "Delta") throw new Error("the model knows deltas only")
      const after = offer({ ...state, stock: state.stock + command.change.delta })
      return { state: after, output: level(after) }
    }
    case "Wake":
      return { state, output: { _tag: "Woken" } }
    default:
      throw new Error(`the model does not know ${command._tag}`)
  }
}

/** A product with so many pieces that nobody has touched yet. */
export const productModel = (stock: number): Model<ProductModelState, ProductCommand, ProductReply> => ({
  initial: { stock, sequence: 0, tickets: new Map(), line: [], barred: new Map() },
  step,
  agrees: (expected, actual) => comparable(expected) === comparable(actual),
  key: ({ barred, line, sequence, stock, tickets }) =>
    JSON.stringify([
      stock,
      sequence,
      line,
      [...barred].toSorted(([a], [b]) => a < b ? -1 : 1),
      [...tickets].toSorted(([a], [b]) => a < b ? -1 : 1)
    ])
})
