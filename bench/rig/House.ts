/**
 * Hikyaku as it is measured: the runner is the server as it is shipped, with everything that it hosts beside the carts (the
 * outbox relay, the event log's consumers, timers, runs); gateways and callers are processes of their own. Started anew for
 * every repetition and stopped before another system's turn, so that nobody is measured beside somebody else's pollers.
 */
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { createServer } from "node:net"
import { bundle, Child, serverMain } from "./Child.ts"
import type { Question as DriverQuestion } from "./Driver.ts"
import type { Closed, Loaded, Open } from "./Load.ts"
import { together } from "./Load.ts"
import type { Database } from "./Postgres.ts"
import type { Question as ShopperQuestion } from "./Shopper.ts"

/** Ports given away: of processes that start together none may get another's, which is free until that one listens. */
const given = new Set<number>()
const freePort = (): Promise<number> =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  }).then((port) => given.has(port) ? freePort() : (given.add(port), port))

const startRunner = async (
  database: Database,
  flags: ReadonlyArray<string> = [],
  environment: Readonly<Record<string, string>> = {}
): Promise<Child> =>
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
      HIKYAKU_PROVIDER_API_KEY: "",
      ...environment
    }
  })

/** CPU time that was used while something was measured, ms. */
export interface Watch {
  readonly runnerMs: number
  readonly gatewayMs: number
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
  return [result, { runnerMs: after[0] - before[0], gatewayMs: after[1] - before[1] }]
}

/** A runner and gateways, the callers within the gateways. */
export class ActorHouse {
  readonly runner: Child
  private readonly gateways: ReadonlyArray<Child>
  private constructor(runner: Child, gateways: ReadonlyArray<Child>) {
    this.runner = runner
    this.gateways = gateways
  }

  static async start(
    database: Database,
    { environment = {} as Readonly<Record<string, string>>, flags = [] as ReadonlyArray<string>, gateways = 1 } = {}
  ): Promise<ActorHouse> {
    const [runner, ...drivers] = await Promise.all([
      startRunner(database, flags, environment),
      ...Array.from({ length: gateways }, (_, i) =>
        Child.start({
          name: `gateway-${i + 1}`,
          program: bundle("rig/Driver"),
          environment: { DATABASE_URL: database.url }
        }))
    ])
    return new ActorHouse(runner, drivers)
  }

  private async ask<A>(
    question: DriverQuestion,
    gateway: number,
    profile: string | null
  ): Promise<readonly [A, Watch]> {
    const driver = this.gateways[gateway]
    if (driver === undefined) throw new Error(`there is no gateway ${gateway}`)
    return watched(this.runner, driver, profile, () => driver.ask<A>(question))
  }
  closed(load: Closed, profile: string | null = null, gateway = 0): Promise<readonly [Loaded, Watch]> {
    return this.ask({ op: "closed", load }, gateway, profile)
  }
  open(
    loads: ReadonlyArray<Open>,
    profile: string | null = null,
    gateway = 0
  ): Promise<readonly [ReadonlyArray<Loaded>, Watch]> {
    return this.ask({ op: "open", loads }, gateway, profile)
  }
  /** How many of the actors `${prefix}0` and so on answered; then they are live. */
  async touch(kind: "Product" | "Member", prefix: string, count: number): Promise<number> {
    return (await this.ask<number>({ op: "touch", kind, prefix, count }, 0, null))[0]
  }
  /** Brings a campaign in. */
  async define(definition: CampaignDefinition, timeZone: string): Promise<void> {
    await this.ask<null>({ op: "define", definition, timeZone }, 0, null)
  }
  /** Starts a run of a campaign about a product and answers its id; what `until` waits for is measured too. */
  runNow(
    campaign: string,
    product: string,
    profile: string | null,
    until: (run: string) => Promise<void>
  ): Promise<readonly [string, Watch]> {
    const driver = this.gateways[0]!
    return watched(this.runner, driver, profile, async () => {
      const question: DriverQuestion = { op: "runNow", campaign, product }
      const run = await driver.ask<string>(question)
      await until(run)
      return run
    })
  }
  async stop(): Promise<void> {
    for (const gateway of this.gateways) await gateway.stop()
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
    const port = await freePort()
    const [runner, gateway] = await Promise.all([
      startRunner(database),
      Child.start({
        name: "api-gateway",
        program: serverMain,
        args: ["gateway"],
        environment: { DATABASE_URL: database.url, HIKYAKU_HOST: "127.0.0.1", HIKYAKU_PORT: String(port) }
      })
    ])
    // They connect at once.
    const fronts = await Promise.all(Array.from({ length: shoppers }, (_, i) =>
      Child.start({
        name: `shopper-${i + 1}`,
        program: bundle("rig/Shopper"),
        environment: { HIKYAKU_URL: `ws://127.0.0.1:${port}/rpc` }
      })))
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
