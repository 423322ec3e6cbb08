/**
 * Hikyaku as it is measured: the runner is the server as it is shipped, with everything that it hosts beside the carts (the
 * outbox relay, the event log's consumers, timers, runs); gateways and callers are processes of their own. Started anew for
 * every repetition and stopped before another system's turn, so that nobody is measured beside somebody else's pollers.
 */
import { createServer } from "node:net"
import { bundle, Child, serverMain } from "./Child.ts"
import type { Question as DriverQuestion } from "./Driver.ts"
import type { Closed, Loaded, Open } from "./Load.ts"
import { together } from "./Load.ts"
import type { Database } from "./Postgres.ts"
import { rounded } from "./Report.ts"
import type { Question as ShopperQuestion } from "./Shopper.ts"

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })

const startRunner = async (database: Database, flags: ReadonlyArray<string> = []): Promise<Child> =>
  Child.start({
    name: "runner",
    program: serverMain,
    args: ["runner"],
    flags,
    environment: {
      DATABASE_URL: database.url,
      HIKYAKU_RUNNER_HOST: "127.0.0.1",
      HIKYAKU_RUNNER_PORT: String(await freePort()),
      // Nothing is sent in these benches.
      HIKYAKU_PROVIDER_URL: "http://127.0.0.1:9",
      HIKYAKU_PROVIDER_API_KEY: ""
    }
  })

/** Runs something while the processes' CPU time is counted and, if wanted, profiles are taken. */
export interface Watch {
  readonly runner_cpu: number
  readonly gateway_cpu: number
}
const watched = async <A>(
  runner: Child,
  gateway: Child,
  profile: string | null,
  run: () => Promise<A>
): Promise<readonly [A, Watch]> => {
  if (profile !== null) await Promise.all([runner.profile(), gateway.profile()])
  const before = await Promise.all([runner.usage(), gateway.usage()])
  const result = await run()
  const after = await Promise.all([runner.usage(), gateway.usage()])
  if (profile !== null) {
    await Promise.all([
      runner.profiled(`${profile}-runner.cpuprofile`),
      gateway.profiled(`${profile}-gateway.cpuprofile`)
    ])
  }
  const cores = (i: 0 | 1) => rounded((after[i].cpuMs - before[i].cpuMs) / (after[i].atMs - before[i].atMs), 2)
  return [result, { runner_cpu: cores(0), gateway_cpu: cores(1) }]
}

/** Runner and gateway, the callers within the gateway. */
export class ActorHouse {
  readonly runner: Child
  private readonly driver: Child
  private constructor(runner: Child, driver: Child) {
    this.runner = runner
    this.driver = driver
  }

  static async start(database: Database, flags: ReadonlyArray<string> = []): Promise<ActorHouse> {
    const runner = await startRunner(database, flags)
    const driver = await Child.start({
      name: "gateway",
      program: bundle("rig/Driver"),
      environment: { DATABASE_URL: database.url }
    })
    return new ActorHouse(runner, driver)
  }

  private ask<A>(question: DriverQuestion): Promise<A> {
    return this.driver.ask(question)
  }
  closed(load: Closed, profile: string | null = null): Promise<readonly [Loaded, Watch]> {
    return watched(this.runner, this.driver, profile, () => this.ask<Loaded>({ op: "closed", load }))
  }
  open(loads: ReadonlyArray<Open>, profile: string | null = null): Promise<readonly [ReadonlyArray<Loaded>, Watch]> {
    return watched(this.runner, this.driver, profile, () => this.ask<ReadonlyArray<Loaded>>({ op: "open", loads }))
  }
  touch(kind: "Product" | "Member", prefix: string, count: number): Promise<number> {
    return this.ask({ op: "touch", kind, prefix, count })
  }
  async stop(): Promise<void> {
    await this.driver.stop()
    await this.runner.stop()
  }
}

/** Runner, gateway with its API, and shop fronts that call it. */
export class ApiHouse {
  private readonly runner: Child
  private readonly gateway: Child
  private readonly shoppers: ReadonlyArray<Child>
  private constructor(runner: Child, gateway: Child, shoppers: ReadonlyArray<Child>) {
    this.runner = runner
    this.gateway = gateway
    this.shoppers = shoppers
  }

  static async start(database: Database, shoppers: number): Promise<ApiHouse> {
    const runner = await startRunner(database)
    const port = await freePort()
    const gateway = await Child.start({
      name: "api-gateway",
      program: serverMain,
      args: ["gateway"],
      environment: { DATABASE_URL: database.url, HIKYAKU_HOST: "127.0.0.1", HIKYAKU_PORT: String(port) }
    })
    const fronts: Array<Child> = []
    for (let i = 0; i < shoppers; i++) {
      fronts.push(
        await Child.start({
          name: `shopper-${i + 1}`,
          program: bundle("rig/Shopper"),
          environment: { HIKYAKU_URL: `ws://127.0.0.1:${port}/rpc` }
        })
      )
    }
    return new ApiHouse(runner, gateway, fronts)
  }

  /** The load in equal parts from every shop front. */
  closed(load: Closed, profile: string | null = null): Promise<readonly [Loaded, Watch]> {
    const { shoppers } = this
    const share = (total: number, i: number) =>
      Math.floor(total * (i + 1) / shoppers.length) - Math.floor(total * i / shoppers.length)
    return watched(this.runner, this.gateway, profile, async () => {
      const start = performance.now()
      const parts = await Promise.all(shoppers.map((shopper, i) => {
        const question: ShopperQuestion = {
          op: "closed",
          load: { ...load, n: share(load.n, i), concurrency: share(load.concurrency, i) }
        }
        return shopper.ask<Loaded>(question)
      }))
      return together(parts, performance.now() - start)
    })
  }

  async stop(): Promise<void> {
    await Promise.all(this.shoppers.map((shopper) => shopper.stop()))
    await this.gateway.stop()
    await this.runner.stop()
  }
}
