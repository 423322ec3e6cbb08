/** A real SMTP server that keeps what it is given and misbehaves as told. */
import { Effect } from "effect"
import type { Socket } from "node:net"
import { SMTPServer, type SMTPServerOptions } from "smtp-server"
import type { Behaviour } from "./PromiseContract.ts"

export type SmtpBehaviour = Behaviour | "cutInContent" | "refuseContent" | "laterContent"

export interface Mail {
  readonly from: string
  readonly to: ReadonlyArray<string>
  readonly text: string
  readonly encrypted: boolean
  readonly user: string | undefined
}

const refusal = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code })

/** Listens on a free port of the loopback until the scope closes. */
export const smtpFarSide = (options: SMTPServerOptions = {}) =>
  Effect.gen(function*() {
    const mails: Array<Mail> = []
    const sockets = new Set<Socket>()
    let next: () => SmtpBehaviour = () => "accept"
    /** By the port from which the client came: a connection carries one message at a time. */
    const behaviours = new Map<number, SmtpBehaviour>()
    const cut = (port: number) => sockets.forEach((socket) => socket.remotePort === port && socket.destroy())
    let transactions = 0
    let connections = 0
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: options.secure === undefined && options.key === undefined ? ["STARTTLS"] : [],
      logger: false,
      ...options,
      onConnect: (_, done) => {
        connections++
        if (next() === "unreachable") return done(refusal(421, "not now"))
        done()
      },
      onRcptTo: (_, session, done) => {
        transactions++
        const behaviour = next()
        behaviours.set(session.remotePort, behaviour)
        if (behaviour === "later") return done(refusal(451, "4.7.1 try again later"))
        if (behaviour === "refuse") return done(refusal(550, "5.1.1 no such user"))
        done()
      },
      onData: (stream, session, done) => {
        const chunks: Array<Buffer> = []
        const behaviour = behaviours.get(session.remotePort) ?? "accept"
        stream.on("data", (chunk: Buffer) => {
          chunks.push(chunk)
          if (behaviour === "cutInContent") { for (const socket of sockets) socket.destroy() }
        })
        stream.on("error", () => {})
        stream.on("end", () => {
          if (behaviour === "refuseContent") return done(refusal(554, "5.7.1 spam"))
          if (behaviour === "laterContent") return done(refusal(452, "4.2.2 mailbox full"))
          const { mailFrom, rcptTo } = session.envelope
          mails.push({
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            text: Buffer.concat(chunks).toString("utf8"),
            encrypted: session.secure,
            user: typeof session.user === "string" ? session.user : undefined
          })
          if (behaviour === "lose") cut(session.remotePort)
          else done()
        })
      }
    })
    server.on("error", () => {})
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.server.on("connection", (socket: Socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => sockets.delete(socket))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
    )
    const address = server.server.address()
    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      mails,
      connections: () => connections,
      open: () => sockets.size,
      transactions: () => transactions,
      behave: (behaviour: SmtpBehaviour) => {
        next = () => behaviour
      },
      /** Asked for each message anew. */
      vary: (choose: () => SmtpBehaviour) => {
        next = choose
      }
    }
  })
