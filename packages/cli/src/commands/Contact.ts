/** `hikyaku contact`: addresses that get nothing any more, or nothing from one system, and how they are reached again. */
import { Args, Command } from "@effect/cli"
import { Effect } from "effect"
import { connected, connection } from "../Connection.ts"
import { instant, print, table } from "../Output.ts"

const channels = ["mail", "line", "push", "onsite"] as const
const channel = Args.choice(channels.map((one) => [one, one]), { name: "channel" })
const address = Args.text({ name: "address" }).pipe(
  Args.withDescription("The address, or the member's id or token there.")
)
const system = Args.text({ name: "system" }).pipe(Args.withDescription("The registered system's name."))

const show = Command.make(
  "show",
  { ...connection, channel, address },
  (call) =>
    connected(call, (hikyaku) =>
      Effect.all({
        suppressed: hikyaku.contact.suppressed({ channel: call.channel, addresses: [call.address] }),
        unsubscribed: hikyaku.contact.unsubscribed({ channel: call.channel, address: call.address })
      })).pipe(
        Effect.flatMap((answer) => {
          const [found] = answer.suppressed
          const whole = found === undefined ? "not suppressed" : `suppressed: ${found.cause} (${found.reason})`
          const declined = answer.unsubscribed.length === 0
            ? "no system's mails are declined"
            : table(["declined system", "since"], answer.unsubscribed.map((one) => [one.system, instant(one.at)]))
          return print(call, answer, `${call.address}: ${whole}\n${declined}`)
        })
      )
).pipe(Command.withDescription("Why an address gets nothing any more, or nothing from some systems."))

const unsuppress = Command.make(
  "unsuppress",
  { ...connection, channel, address },
  (call) =>
    connected(call, (hikyaku) => hikyaku.contact.unsuppress({ channel: call.channel, address: call.address })).pipe(
      Effect.flatMap((answer) =>
        print(call, answer, `${call.address} ${answer.changed ? "is reached again" : "was not suppressed"}`)
      )
    )
).pipe(Command.withDescription("Lets a suppressed address be reached again; its bounces are counted anew."))

const resubscribe = Command.make(
  "resubscribe",
  { ...connection, channel, address, system },
  (call) =>
    connected(
      call,
      (hikyaku) => hikyaku.contact.resubscribe({ channel: call.channel, address: call.address, system: call.system })
    ).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          answer.changed
            ? `${call.address} gets the mails of ${call.system} again`
            : `${call.address} had not declined the mails of ${call.system}`
        )
      )
    )
).pipe(Command.withDescription("Takes back that the owner of an address declined a system's mails."))

export const command = Command.make("contact").pipe(
  Command.withDescription("Addresses that get nothing any more, and how they are reached again."),
  Command.withSubcommands([show, unsuppress, resubscribe])
)
