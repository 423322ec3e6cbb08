/** `hikyaku campaign runs | run | explain`: what campaigns did, and why. */
import { Args, Command } from "@effect/cli"
import type { RunView } from "@hikyaku/domain/api/CampaignApi"
import { mintCommandId } from "@hikyaku/domain/api/Client"
import { Console, Effect, Option } from "effect"
import { author, connected, connection } from "../Connection.ts"
import { refused } from "../Failure.ts"
import { counts, facts, instant, print, table } from "../Output.ts"
import { campaign, eventMember, limit, notAllowed, productOption } from "./CampaignSubject.ts"

export const explain = Command.make("explain", {
  ...connection,
  member: Args.text({ name: "member" }),
  run: Args.text({ name: "run" }).pipe(Args.withDescription("The run's id; see hikyaku campaign runs."))
}, (call) =>
  connected(call, (hikyaku) => hikyaku.campaign.explain({ member: call.member, run: call.run })).pipe(
    Effect.flatMap((answer) =>
      print(
        call,
        answer,
        [
          `${answer.member}: ${answer.verdict}.`,
          facts([
            ["campaign", `${answer.run.campaign}, version ${answer.run.version}`],
            ["run", `${answer.run.id}, ${answer.run.status}`],
            ["caused by", cause(answer.run)],
            ...(answer.delivery === null ? [] : [
              ["delivery", `${answer.delivery.id}, ${answer.delivery.status}`],
              ["may leave", `${instant(answer.delivery.notBefore)} to ${instant(answer.delivery.deadline)}`],
              ["sent", instant(answer.delivery.sentAt)],
              ["why so", answer.delivery.why]
            ] as const)
          ]),
          ...(answer.decisions.length === 0 ? [] : [
            table(
              ["at", "stage", "decision", "reason", "detail"],
              answer.decisions.map((d) => [
                instant(d.at),
                d.stage,
                d.decision,
                d.reason,
                d.detail === null ? null : JSON.stringify(d.detail)
              ])
            )
          ])
        ].join("\n\n")
      )
    )
  )).pipe(Command.withDescription("Why a member got a run's message, or did not."))

const cause = ({ cause, member, product }: RunView): string => {
  const about = [product, member].filter((id) => id !== null).join(", ")
  switch (cause._tag) {
    case "Event":
      return `event ${cause.event}${about === "" ? "" : ` about ${about}`}, ${instant(cause.at)}`
    case "Cycle":
      return `its schedule, ${instant(cause.at)}`
    case "Hand":
      return `${cause.author}, by hand`
  }
}

export const runs = Command.make(
  "runs",
  {
    ...connection,
    campaign: Args.text({ name: "campaign" }).pipe(Args.withDescription("Default: all campaigns."), Args.optional),
    limit
  },
  (call) =>
    connected(
      call,
      (hikyaku) => hikyaku.campaign.runs({ campaign: Option.getOrUndefined(call.campaign), limit: call.limit })
    ).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          table(
            ["run", "status", "started", "considered", "accepted", "turned down", "caused by"],
            answer.map((run) => [
              run.id,
              run.status,
              instant(run.startedAt),
              run.considered,
              run.accepted,
              counts(run.rejected),
              cause(run)
            ])
          )
        )
      )
    )
).pipe(Command.withDescription("The runs of a campaign, the newest first."))

const setting = (name: string, to: "running" | "paused" | "cancelled", description: string) =>
  Command.make(name, {
    ...connection,
    run: Args.text({ name: "run" }).pipe(Args.withDescription("The run's id; see hikyaku campaign runs."))
  }, (call) =>
    Effect.gen(function*() {
      const answer = yield* connected(call, (hikyaku) => hikyaku.campaign.setRun({ run: call.run, to }))
      if (!answer.changed && answer.status !== to) return yield* refused(`Run ${call.run} is ${answer.status}.`)
      yield* print(call, answer, `Run ${call.run} is ${answer.status}.`)
    })).pipe(Command.withDescription(description))

export const runSettings = [
  setting("pause-run", "paused", "Stops one run where it is; what it has not sent yet is held."),
  setting("resume-run", "running", "Goes on with a paused run."),
  setting("cancel-run", "cancelled", "Gives one run up; what it has not sent yet is dropped.")
] as const

export const run = Command.make(
  "run",
  { ...connection, campaign, author, product: productOption, eventMember },
  (call) =>
    Effect.gen(function*() {
      const request = yield* mintCommandId
      const answer = yield* connected(call, (hikyaku) =>
        hikyaku.campaign.runNow({
          campaign: call.campaign,
          author: call.author,
          request,
          product: Option.getOrUndefined(call.product),
          eventMember: Option.getOrUndefined(call.eventMember)
        }))
      switch (answer._tag) {
        case "NotAllowed":
          return yield* notAllowed(call.campaign, answer)
        case "Suppressed":
          return yield* refused(`No run was started: ${answer.reason}.`)
        case "RunStarted":
          yield* print(call, answer, `Run ${answer.run} has started.`)
          if (!call.json) yield* Console.log(`Next: hikyaku campaign runs ${call.campaign}`)
      }
    })
).pipe(Command.withDescription("Starts a run by hand."))
