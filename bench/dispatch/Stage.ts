/**
 * The provider sandbox and a runner, each a process of its own as in production, and deliveries as the Member actor's
 * commits write them. A sandbox and a runner are started anew for each measurement.
 */
import { createServer } from "node:net"
import { Child, serverMain } from "../rig/Child.ts"
import type { Database } from "../rig/Postgres.ts"
import { provider, sandboxSettings } from "./Mix.ts"

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

export interface Sandbox {
  readonly url: string
  /** Where its record is. */
  readonly folder: string
  readonly stop: () => Promise<void>
}

/** A provider of these benches' kind that allows so many requests at a time. */
export const startSandbox = async (folder: string, concurrency: number): Promise<Sandbox> => {
  const port = String(await freePort())
  const url = `http://127.0.0.1:${port}`
  const process = await Child.start({
    name: "sandbox",
    program: serverMain,
    args: ["sandbox"],
    environment: {
      HIKYAKU_SANDBOX_HOST: "127.0.0.1",
      HIKYAKU_SANDBOX_PORT: port,
      HIKYAKU_SANDBOX_FOLDER: folder,
      HIKYAKU_SANDBOX_API_KEY: ""
    }
  })
  const settings = sandboxSettings(concurrency)
  const response = await fetch(`${url}/v1/settings`, { method: "PUT", body: JSON.stringify(settings) })
  if (!response.ok) throw new Error(`the sandbox refuses its settings: ${await response.text()}`)
  return { url, folder, stop: () => process.stop() }
}

/** A runner with this provider, its limit told. */
export const startRunner = async (database: Database, sandbox: Sandbox, concurrency: number): Promise<Child> =>
  Child.start({
    name: "runner",
    program: serverMain,
    args: ["runner"],
    environment: {
      DATABASE_URL: database.url,
      HIKYAKU_RUNNER_HOST: "127.0.0.1",
      HIKYAKU_RUNNER_PORT: String(await freePort()),
      HIKYAKU_PROVIDER_URL: sandbox.url,
      HIKYAKU_PROVIDER_API_KEY: "",
      HIKYAKU_PROVIDER_CONCURRENCY: String(concurrency),
      HIKYAKU_PROVIDER_RATE: "1000",
      DELIVERY_LIST_SIZE: String(provider.listSize)
    }
  })

export interface Api {
  /** Calls a method over JSON-RPC; throws when it is refused. */
  readonly call: (method: string, params: object) => Promise<unknown>
  readonly stop: () => Promise<void>
}

/** A gateway on this database. */
export const startApi = async (database: Database): Promise<Api> => {
  const port = String(await freePort())
  const process = await Child.start({
    name: "gateway",
    program: serverMain,
    args: ["gateway"],
    environment: { DATABASE_URL: database.url, HIKYAKU_HOST: "127.0.0.1", HIKYAKU_PORT: port }
  })
  let id = 0
  const call = async (method: string, params: object): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/jsonrpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params })
    })
    const answer: { readonly result?: unknown; readonly error?: unknown } = JSON.parse(await response.text())
    if (answer.error !== undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`)
    return answer.result
  }
  return { call, stop: () => process.stop() }
}
