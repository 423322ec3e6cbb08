/**
 * The command line: a thin client of the RPC API. Exit codes: 0 done; 1 the shop said no; 2 the command was written wrong;
 * 3 no server that can answer; 4 the server's own fault.
 */
import { Command, ValidationError } from "@effect/cli"
import { Cause, Console, Effect, Option } from "effect"
import { audit } from "./commands/Audit.ts"
import * as Campaign from "./commands/Campaign.ts"
import * as Cart from "./commands/Cart.ts"
import * as Contact from "./commands/Contact.ts"
import * as Delivery from "./commands/Delivery.ts"
import * as Event from "./commands/Event.ts"
import * as Member from "./commands/Member.ts"
import * as Product from "./commands/Product.ts"
import { status } from "./commands/Status.ts"
import { CliFailure, codes } from "./Failure.ts"

const hikyaku = Command.make("hikyaku").pipe(
  Command.withDescription("Carts, campaigns and deliveries of a Hikyaku shop. Start a shop with `npm start`."),
  Command.withSubcommands([
    status,
    Product.command,
    Cart.command,
    Event.command,
    Member.command,
    Contact.command,
    Campaign.command,
    Delivery.command,
    audit
  ])
)

/** The code a script sees. What the parser refuses it has explained itself. */
export const codeOf = (cause: Cause.Cause<unknown>): number => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  if (failure instanceof CliFailure) return failure.code
  if (ValidationError.isValidationError(failure)) return codes.usage
  return Cause.isInterruptedOnly(cause) ? 130 : codes.fault
}

const command = Command.run(hikyaku, { name: "Hikyaku", version: "0.1.0", executable: "hikyaku" })

/** Runs the command that the arguments (`process.argv`) name; failures are explained on standard error. */
export const run = (args: ReadonlyArray<string>) =>
  command(args).pipe(
    Effect.tapError((error) => (error instanceof CliFailure ? Console.error(error.message) : Effect.void)),
    Effect.tapDefect((cause) => Console.error(`This command has a fault of its own:\n${Cause.pretty(cause)}`))
  )
