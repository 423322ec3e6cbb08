/**
 * Everything that can go wrong with a call. Refusals of the shop (sold out, limit reached) are answers, not errors. Each
 * error says whether anything was done, so that a caller knows whether to repeat.
 */
import { Schema } from "effect"
import { BadInput } from "./BadInput.ts"

/** No such method; nothing was done. */
export class UnknownMethod extends Schema.TaggedError<UnknownMethod>()("UnknownMethod", {
  method: Schema.String,
  hint: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `there is no method ${this.method}${this.hint === undefined ? "" : ` (${this.hint})`}`
  }
}

/** Nothing is known of what the call names; nothing was done. */
export class Unknown extends Schema.TaggedError<Unknown>()("Unknown", {
  what: Schema.Literal(
    "product",
    "member",
    "campaign",
    "version",
    "run",
    "list",
    "provider",
    "order",
    "request",
    "template",
    "table",
    "import"
  ),
  id: Schema.String
}) {
  override get message(): string {
    return `there is no ${this.what} ${this.id}`
  }
}

/** The product was never defined; nothing was done. */
export class UnknownProduct extends Schema.TaggedError<UnknownProduct>()("UnknownProduct", {
  product: Schema.String
}) {
  override get message(): string {
    return `there is no product ${this.product}: define it first`
  }
}

/** Too much is waiting; nothing was done. The same call with the same ids may be made again. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  /** ms after which there is likely to be room. */
  retryAfter: Schema.Number
}) {
  override get message(): string {
    return `too much is waiting: try again in ${this.retryAfter} ms`
  }
}

/**
 * No answer in time. Whether the call was carried out is not known; the same call with the same ids, made again, gets the
 * outcome and does nothing twice.
 */
export class NotAnswered extends Schema.TaggedError<NotAnswered>()("NotAnswered", { reason: Schema.String }) {
  override get message(): string {
    return `no answer in time: ${this.reason}`
  }
}

/** The id was used before with other content; nothing was done. */
export class ContentDiffers extends Schema.TaggedError<ContentDiffers>()("ContentDiffers", { id: Schema.String }) {
  override get message(): string {
    return `${this.id} was used before with other content: use a new id`
  }
}

/** The id is older than outcomes are kept (24 h), or from the future; the call was not carried out. */
export class Expired extends Schema.TaggedError<Expired>()("Expired", { id: Schema.String, reason: Schema.String }) {
  override get message(): string {
    return `${this.id} cannot be judged any more: ${this.reason}`
  }
}

/** The store cannot be reached; nothing was done, or the ids tell whether it was. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** Our own fault. `reference` finds the details in the server's log. */
export class Fault extends Schema.TaggedError<Fault>()("Fault", {
  reason: Schema.String,
  reference: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.reference === undefined ? this.reason : `${this.reason} (reference ${this.reference})`
  }
}

/** The caller may not do this; nothing was done and nothing is told. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** Errors of every method. */
export const CommonError = Schema.Union(BadInput, UnknownMethod, Overloaded, Unavailable, Fault, Unauthorized)
export type CommonError = typeof CommonError.Type

/** Errors of methods that tell an actor something. */
export const CommandError = Schema.Union(NotAnswered, ContentDiffers, Expired, CommonError)
export type CommandError = typeof CommandError.Type

export { BadInput }
