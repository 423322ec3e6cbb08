/** A process that is measured: started, asked through the channel between parent and child, stopped. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, openSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { createInterface } from "node:readline"
import type { Heap } from "./Probe.ts"

/** Where the bundles of this folder lie once the bench runs. */
const bundles = path.resolve("bench/dist")
/** The server as it is shipped: one file. */
export const serverMain = path.resolve("packages/server/dist/bundle/main.js")
export const bundle = (name: string): string => path.join(bundles, `${name}.js`)

/** A process that does not serve by then, ms, or does not end by then after SIGTERM. */
const readyWithin = 60_000
const stopWithin = 15_000

interface Answer {
  readonly answer: number
  readonly value?: unknown
  readonly error?: string
}
const isAnswer = (message: unknown): message is Answer =>
  typeof message === "object" && message !== null && "answer" in message

const living = new Set<ChildProcess>()
/** No process of ours outlives the bench. */
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL")
})

export class Child {
  readonly name: string
  private readonly child: ChildProcess
  private readonly log: string
  private readonly answers = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (cause: Error) => void }
  >()
  private next = 0
  private ended: string | null = null

  private constructor(name: string, child: ChildProcess, log: string) {
    this.name = name
    this.child = child
    this.log = log
    child.on("message", (message) => {
      if (!isAnswer(message)) return
      const waiting = this.answers.get(message.answer)
      this.answers.delete(message.answer)
      if (message.error === undefined) waiting?.resolve(message.value)
      else waiting?.reject(new Error(`${name}: ${message.error}`))
    })
    child.once("exit", (code, signal) => {
      living.delete(child)
      this.ended = signal ?? `exit code ${code ?? "?"}`
      for (const waiting of this.answers.values()) waiting.reject(this.death())
      this.answers.clear()
    })
  }

  private death(): Error {
    const tail = readFileSync(this.log, "utf8").slice(-2000)
    return new Error(`${this.name} has ended (${this.ended}):\n${tail}`)
  }

  /** Starts it and waits until it says on its standard output that it serves, as Hikyaku's processes do. */
  static async start(options: {
    readonly name: string
    readonly program: string
    readonly args?: ReadonlyArray<string>
    readonly flags?: ReadonlyArray<string>
    readonly environment: Readonly<Record<string, string>>
  }): Promise<Child> {
    const { name, program } = options
    const logs = path.join(bundles, "logs")
    mkdirSync(logs, { recursive: true })
    const log = path.join(logs, `${name}.log`)
    const args = [
      "--max-semi-space-size=64",
      ...options.flags ?? [],
      "--import",
      bundle("rig/Probe"),
      program,
      ...options.args ?? []
    ]
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...options.environment },
      stdio: ["ignore", "pipe", openSync(log, "w"), "ipc"],
      // Typed arrays and undefined arrive as they are.
      serialization: "advanced"
    })
    living.add(child)
    const started = new Child(name, child, log)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${name} does not serve, see ${log}`)), readyWithin)
      child.once("exit", () => {
        clearTimeout(timer)
        reject(started.death())
      })
      createInterface(child.stdout!).on("line", (line) => {
        if (!line.startsWith("hikyaku-ready")) return
        clearTimeout(timer)
        resolve()
      })
    })
    return started
  }

  private post<A>(key: "ask" | "probe", message: object): Promise<A> {
    if (this.ended !== null) return Promise.reject(this.death())
    const id = this.next++
    return new Promise((resolve, reject) => {
      // What comes back is what the other side's types say; both are ours.
      this.answers.set(id, { resolve: (value) => resolve(value as A), reject })
      this.child.send({ [key]: id, ...message })
    })
  }

  /** Asks the program itself. */
  ask<A>(question: object): Promise<A> {
    return this.post("ask", question)
  }
  usage(): Promise<number> {
    return this.post("probe", { op: "usage" })
  }
  heap(): Promise<Heap> {
    return this.post("probe", { op: "heap" })
  }
  profile(): Promise<void> {
    return this.post("probe", { op: "profile" })
  }
  profiled(file: string): Promise<void> {
    return this.post("probe", { op: "profiled", file })
  }

  async stop(): Promise<void> {
    if (this.ended !== null) return
    const ended = new Promise<void>((resolve) => this.child.once("exit", () => resolve()))
    this.child.kill("SIGTERM")
    const timer = setTimeout(() => {
      process.stderr.write(`${this.name} does not stop: SIGKILL\n`)
      this.child.kill("SIGKILL")
    }, stopWithin)
    await ended
    clearTimeout(timer)
  }
}
