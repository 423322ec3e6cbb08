import { describe, expect, it } from "@effect/vitest"
import { ReplayInputError } from "@hikyaku/domain/replay/ReplayInputError"
import { Step } from "@hikyaku/domain/replay/Step"
import { encodeStepLine } from "@hikyaku/domain/replay/StepLine"
import { recordBytesMax } from "@hikyaku/server/replay/CsvRecords"
import { lineBytesMax } from "@hikyaku/server/replay/NdjsonSteps"
import { fromFile, generated, type ReplaySource } from "@hikyaku/server/replay/ReplaySource"
import { Chunk, Effect, Schema, Stream } from "effect"
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { deflateRawSync, gzipSync } from "node:zlib"
import { afterAll, beforeAll } from "vitest"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hikyaku-replay-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const write = (content: string | Uint8Array, name = `${files++}`) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
const hat = "1,10A,\"HAT, \"\"RED\"\"\",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"
const bag = "1,11,BAG £,1,2010-12-01 08:26:00,3.0,17850.0,United Kingdom"
const guest = "2,11,BAG £,1,2010-12-01 08:30:00,3.0,,United Kingdom"
const csv = (...lines: ReadonlyArray<string>) => [header, ...lines, ""].join("\n")

const stepsOf = (source: ReplaySource) => Effect.map(Stream.runCollect(source.stream), Chunk.toReadonlyArray)
const replay = (path: string, limit?: number) =>
  Effect.scoped(Effect.gen(function*() {
    const source = yield* fromFile(path, { limit })
    const steps = yield* stepsOf(source)
    return { source, steps, progress: yield* source.progress }
  }))
const tags = (steps: ReadonlyArray<Step>) =>
  steps.map((step) => step._tag === "Publish" ? step.event.happening._tag : step._tag)
/** The error in place of the steps; opening the file must find it, before any step. */
const refusal = (content: string | Uint8Array, limit?: number) =>
  Effect.suspend(() => {
    const path = write(content)
    return Effect.scoped(Effect.flip(fromFile(path, { limit }))).pipe(
      Effect.tap((error) => {
        expect(error).toBeInstanceOf(ReplayInputError)
        expect(error.file).toBe(path)
        expect(error.message).toContain(error.fault)
      })
    )
  })

describe("Online Retail files", () => {
  it.effect("are read plain and packed, by their bytes and not their names, with the same steps", () =>
    Effect.gen(function*() {
      const content = csv(hat, bag, guest)
      const plain = yield* replay(write(content, "plain.gz"))
      expect(tags(plain.steps)).toEqual([
        "ProductOpening",
        "ProductOpening",
        "MemberOpening",
        "CartAdd",
        "CartAdd",
        "Checkout",
        "Favourited",
        "Favourited"
      ])
      expect(plain.steps[0]).toMatchObject({ product: "10A", name: "HAT, \"RED\"" })
      expect(plain.source).toMatchObject({ format: "online-retail", lines: 3 })
      expect(plain.progress).toEqual({ lines: 3, used: 2, unusable: { NoMember: 1 } })
      const packed = yield* replay(write(gzipSync(content), "packed.csv"))
      expect(packed.steps).toEqual(plain.steps)
      const members = yield* replay(
        write(Buffer.concat([gzipSync(content.slice(0, 100)), gzipSync(content.slice(100))]))
      )
      expect(members.steps).toEqual(plain.steps)
    }))

  it.effect("may have other line ends, a byte order mark, empty lines, other columns in another order, or no last line end", () =>
    Effect.gen(function*() {
      const plain = yield* replay(write(csv(hat, bag)))
      const same = [
        `\uFEFF${csv(hat, bag)}`,
        csv(hat, bag).replaceAll("\n", "\r\n"),
        csv(hat, "", bag, "", ""),
        csv(hat, bag).trimEnd()
      ]
      for (const content of same) expect((yield* replay(write(content))).steps).toEqual(plain.steps)
      const columns = header.split(",")
      const turned = [columns, hat.replace("\"HAT, \"\"RED\"\"\"", "HAT").split(","), bag.split(",")]
        .map((fields, row) => [...fields.toReversed(), row === 0 ? "More" : "x"].join(","))
      const { steps } = yield* replay(write(turned.join("\n")))
      expect(tags(steps)).toEqual(tags(plain.steps))
    }))

  it.effect("end at the limit, and what comes after is not looked at", () =>
    Effect.gen(function*() {
      for (
        const broken of ["too,few", "1,2,\"3\"x,4,5,6,7,8", "\"never closed", Buffer.from("3,12,CAF\u00c9", "latin1")]
      ) {
        const content = Buffer.concat([Buffer.from(csv(hat, bag)), Buffer.from(broken)])
        const { progress, source } = yield* replay(write(content), 2)
        expect(source.lines).toBe(2)
        expect(progress.lines).toBe(2)
        yield* refusal(content, 3)
      }
    }))

  it.effect("R3: give the same steps again, from the same source and from another", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = write(csv(hat, bag, guest))
      const source = yield* fromFile(path)
      const steps = yield* stepsOf(source)
      expect(yield* stepsOf(source)).toEqual(steps)
      expect((yield* source.progress).lines).toBe(3)
      expect((yield* replay(path)).steps).toEqual(steps)
    })))

  it.effect("that change while they are replayed are noticed", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = write(csv(hat, bag))
      const touched = yield* fromFile(path)
      utimesSync(path, new Date(0), new Date(1_000))
      expect(yield* Effect.flip(stepsOf(touched))).toMatchObject({ fault: "FileChanged" })
      const longer = yield* fromFile(path)
      writeFileSync(path, csv(hat, bag, guest))
      expect(yield* Effect.flip(stepsOf(longer))).toMatchObject({ fault: "FileChanged" })
    })))

  it.effect("with a header and nothing else have no steps", () =>
    Effect.gen(function*() {
      const { progress, steps } = yield* replay(write(csv()))
      expect(steps).toEqual([])
      expect(progress).toEqual({ lines: 0, used: 0, unusable: {} })
    }))
})

describe("G16 broken files are refused with what and where, before any step", () => {
  const many = Array.from({ length: 3_000 }, () => hat)
  const text = csv(...many)
  const packed = gzipSync(text)
  const lineOf = (line: number, content: string) => [header, ...many.slice(2, line), content, hat, ""].join("\n")

  it.effect.each<[string, string | Uint8Array, object]>([
    ["no bytes", "", { fault: "EmptyFile" }],
    ["only empty lines", "\n\n  \n", { fault: "EmptyFile" }],
    ["only a byte order mark", "\uFEFF", { fault: "EmptyFile" }],
    ["nothing, packed", gzipSync(""), { fault: "EmptyFile" }],
    ["no header", [hat, bag].join("\n"), { fault: "MissingHeader", line: 1 }],
    ["a column missing", csv(hat).replace(",Country", ""), { fault: "MissingHeader", line: 1 }],
    ["a column twice", csv(hat).replace("Country", "Country,Country"), { fault: "MissingHeader", path: "Country" }],
    ["a header with broken quotes", `"InvoiceNo"x,StockCode\n${hat}`, { fault: "MissingHeader", line: 1 }],
    ["too few fields", lineOf(700, "1,2,3"), { fault: "ColumnCount", line: 700 }],
    ["too many fields", lineOf(701, `${bag},more`), { fault: "ColumnCount", line: 701 }],
    ["text after a closing quote", lineOf(702, hat.replace("RED\"\"\"", "RED\" X\"")), {
      fault: "BadQuoting",
      line: 702,
      path: "Description"
    }],
    ["a quote within a field", lineOf(703, bag.replace("BAG", "B\"AG")), {
      fault: "BadQuoting",
      line: 703,
      path: "Description"
    }],
    ["a quote never closed", [header, hat, "1,11,\"BAG", bag].join("\n"), { fault: "BadQuoting", line: 3 }],
    ["a quote never closed, long before the end", [header, hat, "1,11,\"BAG", ..."x".repeat(70_000)].join("\n"), {
      fault: "RecordTooLong",
      line: 3
    }],
    ["a record beyond its bound", lineOf(704, bag.replace("BAG", "B".repeat(recordBytesMax))), {
      fault: "RecordTooLong",
      line: 704
    }],
    ["a fault after a record of several lines", [header, hat.replace("RED", "RED\nAND\nBLUE"), "1"].join("\n"), {
      fault: "ColumnCount",
      line: 5
    }],
    ["Latin-1", Buffer.from(lineOf(705, bag), "latin1"), { fault: "NotUtf8", line: 705 }],
    ["a character cut off at the end", Buffer.from(`${csv(hat)}£`).subarray(0, -1), {
      fault: "NotUtf8",
      line: 3,
      byte: Buffer.byteLength(csv(hat))
    }],
    ["UTF-16", Buffer.from(`\uFEFF${csv(hat)}`, "utf16le"), { fault: "NotUtf8", line: 1, byte: 0 }],
    ["a gzip cut in the middle", packed.subarray(0, packed.length >> 1), {
      fault: "GzipTruncated",
      byte: packed.length >> 1
    }],
    ["a gzip without its end", packed.subarray(0, -4), { fault: "GzipTruncated" }],
    ["a gzip's two magic bytes", packed.subarray(0, 2), { fault: "GzipTruncated" }],
    ["a gzip with a wrong checksum", Buffer.concat([packed.subarray(0, -8), Buffer.alloc(4), packed.subarray(-4)]), {
      fault: "GzipCorrupt"
    }],
    ["a gzip with nonsense inside", Buffer.concat([packed.subarray(0, 10), Buffer.alloc(100, 0xff)]), {
      fault: "GzipCorrupt"
    }],
    ["deflate that calls itself gzip", Buffer.concat([Buffer.from([0x1f, 0x8b]), deflateRawSync(text)]), {
      fault: "GzipCorrupt"
    }],
    ["a picture", Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"), { fault: "NotUtf8", line: 1, byte: 0 }],
    ["a web page", "<!doctype html>\n<html></html>", { fault: "MissingHeader", line: 1 }]
  ])("%s", ([, content, error]) =>
    Effect.gen(function*() {
      expect(yield* refusal(content)).toMatchObject(error)
    }))

  it.effect("a character over a border between two chunks is no fault; a broken one there is", () =>
    Effect.gen(function*() {
      for (const offset of [0, 1, 2, 3]) {
        const start = `${header}\n1,11,`
        const filler = "x".repeat(300)
        const lines = Array.from({ length: 400 }, () => `1,11,${filler},1,2010-12-01 08:26:00,3.0,17850.0,France`).join(
          "\n"
        )
        const before = `${header}\n${lines}`.slice(0, 64 * 1024 - Buffer.byteLength(start) - offset)
        const whole = before.slice(0, before.lastIndexOf("\n") + 1)
        const padded = `${whole}1,11,${"y".repeat(64 * 1024 - whole.length - 5 - offset)}`
        const content = `${padded}😀,1,2010-12-01 08:26:00,3.0,17850.0,France\n`
        const { progress } = yield* replay(write(content))
        expect(progress.used + (progress.unusable.MalformedDescription ?? 0)).toBe(progress.lines)
        const bytes = Buffer.from(content)
        bytes[Buffer.byteLength(padded) + 2] = 0x41
        expect(yield* refusal(bytes)).toMatchObject({ fault: "NotUtf8", byte: Buffer.byteLength(padded) })
      }
    }))

  it.effect("no file, a folder, a limit that is none", () =>
    Effect.scoped(Effect.gen(function*() {
      const missing = yield* Effect.flip(fromFile(join(folder, "missing.csv")))
      expect(missing).toMatchObject({ fault: "FileUnreadable" })
      expect(missing.detail).toContain("ENOENT")
      expect(yield* Effect.flip(fromFile(folder))).toMatchObject({ fault: "FileUnreadable" })
      const path = write(csv(hat))
      for (const limit of [0, -1, 1.5, Number.NaN]) {
        expect(yield* Effect.flip(fromFile(path, { limit }))).toMatchObject({ fault: "BadOption", path: "limit" })
      }
    })))
})

const at = Date.UTC(2026, 0, 5)
const event = (id: string, when = at) =>
  JSON.stringify({ source: "shop", id, at: when, happening: { _tag: "Viewed", member: "m1", product: "p1" } })

describe("NDJSON files", () => {
  it.effect("give back the steps that were written, also packed, also in lines longer than a chunk", () =>
    Effect.gen(function*() {
      const shop = yield* generated({ products: 20, members: 30, days: 1, sessionsPerDay: 100 })
      const steps = yield* stepsOf(shop)
      const lines = steps.map(encodeStepLine)
      const plain = yield* replay(write(lines.join("\n")))
      expect(plain.steps).toEqual(steps)
      expect(plain.source).toMatchObject({ format: "ndjson", lines: steps.length })
      expect(plain.progress).toEqual({ lines: steps.length, used: steps.length, unusable: {} })
      const loose = lines.map((line) => `${" ".repeat(200)}${line}\r\n\n`).join("")
      expect((yield* replay(write(gzipSync(loose)))).steps).toEqual(steps)
      const long = `{${" ".repeat(100_000)}${event("e1").slice(1)}`
      expect(tags((yield* replay(write(long))).steps)).toEqual(["Viewed"])
    }))

  it.effect("are bounded by the limit; what comes after is not looked at", () =>
    Effect.gen(function*() {
      const { source, steps } = yield* replay(write(`${event("e1")}\n\n${event("e2")}\nbroken`), 2)
      expect(steps).toHaveLength(2)
      expect(source.lines).toBe(2)
    }))

  it.effect.each<[string, string, object]>([
    ["no JSON", `${event("e1")}\n\n{"a": tru}\n`, { fault: "InvalidJson", line: 3, column: 7 }],
    ["an unknown type", `${event("e1")}\n${event("e2").replace("Viewed", "Looked")}`, {
      fault: "InvalidStep",
      line: 2,
      path: "happening._tag"
    }],
    ["a line cut off", `${event("e1")}\n${event("e2").slice(0, 20)}`, { fault: "InvalidJson", line: 2, column: 18 }],
    ["a clock that runs backwards", `${event("e1")}\n${event("e2", at - 1)}`, { fault: "OutOfOrder", line: 2 }],
    [
      "an opening too late",
      `${event("e1")}\n${encodeStepLine({ _tag: "ProductOpening", at, product: "p1", name: "P", price: 1, stock: 1 })}`,
      { fault: "LateOpening", line: 2 }
    ],
    ["a line beyond its bound", `${event("e1")}\n{"a":"${"x".repeat(lineBytesMax)}"}`, {
      fault: "RecordTooLong",
      line: 2
    }]
  ])("G16: are refused with line and place before any step: %s", ([, content, error]) =>
    Effect.gen(function*() {
      expect(yield* refusal(content)).toMatchObject(error)
      expect(yield* refusal(gzipSync(content))).toMatchObject(error)
    }))
})

describe("generated", () => {
  it.effect("knows how many steps there will be, and counts them", () =>
    Effect.gen(function*() {
      const source = yield* generated({ products: 10, members: 10, days: 1, sessionsPerDay: 50 })
      const steps = yield* stepsOf(source)
      expect(source.lines).toBe(steps.length)
      expect(yield* source.progress).toEqual({ lines: steps.length, used: steps.length, unusable: {} })
      expect(yield* stepsOf(source)).toEqual(steps)
    }))

  it.effect("refuses sizes beyond their bounds", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(generated({ products: 0 }))).toMatchObject({ fault: "BadOption", path: "products" })
      expect(yield* Effect.flip(generated({ days: 1_000 }))).toMatchObject({ fault: "BadOption", path: "days" })
    }))
})

const descriptors = "/proc/self/fd"

describe("R25 a closed scope leaves nothing behind", () => {
  it.effect.skipIf(!existsSync(descriptors))(
    "no open file, after a whole run, a part of one, an error, an interruption",
    () =>
      Effect.gen(function*() {
        const path = write(gzipSync(csv(...Array.from({ length: 20_000 }, () => hat))))
        const open = () =>
          readdirSync(descriptors).filter((descriptor) => {
            try {
              return readlinkSync(join(descriptors, descriptor)) === path
            } catch {
              return false // the descriptor of the listing itself
            }
          }).length
        yield* Effect.scoped(Effect.gen(function*() {
          const source = yield* fromFile(path)
          expect(open()).toBe(1)
          expect(yield* Stream.runCount(Stream.take(source.stream, 3))).toBe(3)
          yield* Stream.runDrain(source.stream)
        }))
        expect(open()).toBe(0)
        const running = yield* Effect.fork(replay(path))
        while (open() === 0) yield* Effect.yieldNow()
        yield* running.interruptAsFork(running.id())
        yield* running.await
        expect(open()).toBe(0)
        writeFileSync(path, "broken")
        yield* Effect.flip(replay(path))
        expect(open()).toBe(0)
      })
  )
})

const real = fileURLToPath(new URL("../../../../../shared/data/online-retail/2010-12_2011-08.csv.gz", import.meta.url))
const isThere = existsSync(real)
if (!isThere) process.stderr.write(`SKIPPED: the replay of real shop data, ${real} is absent\n`)

describe("the real Online Retail data (../shared/data)", () => {
  it.effect.skipIf(!isThere)("adds up over its first 50,000 lines", () =>
    Effect.gen(function*() {
      const { progress, source, steps } = yield* replay(real, 50_000)
      expect(source.lines).toBe(50_000)
      const lost = Object.values(progress.unusable).reduce((sum, count) => sum + count, 0)
      expect(progress.used + lost).toBe(50_000)
      expect(progress.lines).toBe(50_000)
      const count = (tag: string) => tags(steps).filter((other) => other === tag).length
      // A cancellation may take several cart lines back, one step each.
      expect(progress.used).toBeGreaterThan(count("CartAdd"))
      expect(progress.used).toBeLessThanOrEqual(count("CartAdd") + count("Return"))
      expect(Object.keys(progress.unusable).sort()).toEqual([
        "NoMember",
        "NotAProduct",
        "PriceNotPositive",
        "ReturnExceedsPurchase",
        "ReturnWithoutPurchase"
      ])
      const expected = ["Checkout", "Favourited", "PriceChanged", "StockChanged", "Return"]
      expect(expected.filter((tag) => count(tag) < 100)).toEqual([])
      const isStep = Schema.is(Step)
      expect(steps.filter((step) => !isStep(step))).toEqual([])
      expect(steps.every((step, index) => index === 0 || step.at >= (steps[index - 1]?.at ?? 0))).toBe(true)
    }), 60_000)

  it.effect.skipIf(!isThere)(
    "sells popular products out in the order of the record, and most not",
    () =>
      Effect.gen(function*() {
        const { steps } = yield* replay(real, 20_000)
        const left = new Map(
          steps.flatMap((step) => step._tag === "ProductOpening" ? [[step.product, step.stock]] : [])
        )
        const refused = new Set<string>()
        const soldOut = new Set<string>()
        const allocated = new Set<string>()
        let restocked = 0
        const change = (product: string, delta: number) => left.set(product, (left.get(product) ?? 0) + delta)
        for (const step of steps) {
          if (step._tag === "CartAdd") {
            if ((left.get(step.product) ?? 0) < step.quantity) {
              refused.add(step.product)
              continue
            }
            allocated.add(step.ticket)
            change(step.product, -step.quantity)
            if (left.get(step.product) === 0) soldOut.add(step.product)
          } else if (step._tag === "Return" && allocated.has(step.ticket ?? "")) {
            change(step.product, step.quantity)
          } else if (step._tag === "Publish" && step.event.happening._tag === "StockChanged") {
            const { change: stated, product } = step.event.happening
            if (left.get(product) === 0) restocked += 1
            change(product, stated._tag === "Delta" ? stated.delta : 0)
          }
        }
        expect(refused.size).toBeGreaterThan(20)
        expect(soldOut.size).toBeGreaterThan(20)
        expect(restocked).toBeGreaterThan(10)
        expect(refused.size).toBeLessThan(left.size / 8)
      }),
    60_000
  )
})
