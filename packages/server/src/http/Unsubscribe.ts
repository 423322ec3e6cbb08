/**
 * The page behind the unsubscribe links of mails (RFC 8058): `GET /u/:token` shows a page and changes nothing, since mail
 * scanners follow links; `POST` withdraws the member's consent to the channel, whether a mail program sends it or the page's
 * button. Of a mail that a registered system asked for it is the address that unsubscribes from that system. A token that was not signed here gets the same answer whatever is wrong with it.
 */
import { HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { Unsubscribed } from "@hikyaku/cluster/delivery/Unsubscribed"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { UnsubscribeLinks, type Unsubscription } from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import { Effect, Either, Layer } from "effect"
import { ask } from "../rpc/Asking.ts"
import { actorsOnly } from "../rpc/Context.ts"
import { readBody } from "./RequestBody.ts"

/** Path of the pages, followed by the token. */
const unsubscribePath = "/u/"
/** What a form or a mail program sends fits many times. */
const bodyMax = 4_096

type Language = "ja" | "en"

const texts = {
  ja: {
    title: "配信停止",
    ask: (channel: string) => `${channel}の配信を停止しますか？`,
    button: "配信を停止する",
    done: (channel: string) => `${channel}の配信を停止しました。`,
    unknown: "このリンクは無効です。",
    later: "ただいま処理できません。しばらくしてからもう一度お試しください。",
    channels: { mail: "メール", line: "LINE", push: "アプリ通知", onsite: "お知らせ" }
  },
  en: {
    title: "Unsubscribe",
    ask: (channel: string) => `Stop receiving ${channel} from us?`,
    button: "Unsubscribe",
    done: (channel: string) => `You will receive no more ${channel} from us.`,
    unknown: "This link is not valid.",
    later: "This cannot be done at the moment. Please try again later.",
    channels: { mail: "mail", line: "LINE messages", push: "app notifications", onsite: "notices" }
  }
} as const

/** Japanese unless the browser prefers English: the shop's members are in Japan. */
export const languageOf = (accepted: string | undefined): Language => {
  const first = (accepted ?? "").split(",").map((part) => part.trim().toLowerCase()).find((part) =>
    /^(ja|en)\b/.test(part)
  )
  return first !== undefined && first.startsWith("en") ? "en" : "ja"
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => entities[char] ?? char)

const page = (language: Language, body: string, status: number) =>
  HttpServerResponse.text(
    `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escape(texts[language].title)}</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}button{font:inherit;padding:.6rem 1.2rem}</style>
</head>
<body>
<h1>${escape(texts[language].title)}</h1>
${body}
</body>
</html>
`,
    {
      status,
      contentType: "text/html; charset=utf-8",
      headers: {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "content-security-policy":
          "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
      }
    }
  )
const paragraph = (text: string): string => `<p>${escape(text)}</p>`

const notFound = (language: Language) => page(language, paragraph(texts[language].unknown), 404)

/** The last part of the path. */
const tokenOf = (request: HttpServerRequest.HttpServerRequest): string =>
  (request.url.split("?")[0] ?? "").slice(unsubscribePath.length)

/**
 * `POST`: consent is withdrawn and the objection counted by one durable command, or the system's mails are declined by one
 * row; saying it again changes nothing.
 */
const unsubscribe = (of: Unsubscription) =>
  Effect.gen(function*() {
    if (!("member" in of)) return yield* Effect.flatMap(Unsubscribed, (unsubscribed) => unsubscribed.add(of))
    const { channel, delivery, member } = of
    const clock = yield* ShopClock
    const reply = yield* ask(memberKind, {
      actor: member,
      command: {
        _tag: "Feedback",
        delivery,
        channel,
        kind: "unsubscribed",
        at: Math.round(clock.now())
      }
    })
    if (reply._tag !== "Noted") return yield* Effect.dieMessage(`the Member actor answered ${reply._tag}`)
  })

export const routes = Layer.scopedDiscard(Effect.gen(function*() {
  const router = yield* HttpLayerRouter.HttpRouter
  const links = yield* UnsubscribeLinks
  const unsubscribed = yield* Unsubscribed
  const clock = yield* ShopClock
  const context = yield* actorsOnly

  const handle = (
    answer: (about: Unsubscription, language: Language) => Effect.Effect<HttpServerResponse.HttpServerResponse>
  ) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const language = languageOf(request.headers["accept-language"])
      const about = links.read(tokenOf(request))
      return Either.isLeft(about) ? Effect.succeed(notFound(language)) : answer(about.right, language)
    })

  yield* router.add(
    "GET",
    `${unsubscribePath}*`,
    handle(({ channel }, language) => {
      const { ask, button, channels } = texts[language]
      const form = `<form method="post"><button type="submit" name="List-Unsubscribe" value="One-Click">${
        escape(button)
      }</button></form>`
      return Effect.succeed(page(language, `${paragraph(ask(channels[channel]))}\n${form}`, 200))
    })
  )
  yield* router.add(
    "POST",
    `${unsubscribePath}*`,
    Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      (request) =>
        Effect.flatMap(readBody(request, bodyMax), () =>
          handle((about, language) =>
            unsubscribe(about).pipe(
              Effect.as(page(language, paragraph(texts[language].done(texts[language].channels[about.channel])), 200)),
              Effect.catchAll((error) =>
                Effect.as(
                  Effect.logWarning("A reader could not be unsubscribed; the mail program will try again", error),
                  page(language, paragraph(texts[language].later), 503)
                )
              ),
              Effect.provide(context),
              Effect.provideService(ShopClock, clock),
              Effect.provideService(Unsubscribed, unsubscribed)
            )
          ))
    )
  )
}))
