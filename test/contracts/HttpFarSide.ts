/** A local HTTP server that answers as a public interface's documentation says, and misbehaves as told. */
import { Effect } from "effect"
import * as Http from "node:http"
import type { Behaviour } from "./PromiseContract.ts"

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}
export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** `answer` decides, or is null for a connection that is cut without an answer. */
export const httpFarSide = (answer: (asked: Asked, behaviour: Behaviour) => Answer | null) =>
  Effect.gen(function*() {
    let behaviour: Behaviour = "accept"
    const requests: Array<Asked> = []
    const server = Http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const asked: Asked = {
          method: request.method ?? "",
          path: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(chunks).toString("utf8")
        }
        requests.push(asked)
        const given = answer(asked, behaviour)
        if (given === null) return void request.socket.destroy()
        response.writeHead(given.status, { "content-type": "application/json", ...given.headers })
        response.end(JSON.stringify(given.body ?? {}))
      })
    })
    const listen = (port: number) =>
      Effect.async<number>((resume) => {
        server.listen(port, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
        })
      })
    const close = Effect.async<void>((resume) => {
      if (!server.listening) return resume(Effect.void)
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    const port = yield* Effect.acquireRelease(listen(0), () => close)
    return {
      url: `http://127.0.0.1:${port}`,
      requests,
      behave: (next: Behaviour) =>
        Effect.gen(function*() {
          behaviour = next
          if (next === "unreachable") yield* close
          else if (!server.listening) yield* listen(port)
        })
    }
  })
