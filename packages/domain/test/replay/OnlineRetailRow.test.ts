import {
  makeRowReader,
  onlineRetailColumns,
  type OnlineRetailFields,
  type UnusableReason
} from "@hikyaku/domain/replay/OnlineRetailRow"
import { describe, expect, it } from "vitest"

const usable = {
  InvoiceNo: "536365",
  StockCode: "85123a",
  Description: "WHITE HANGING HEART ",
  Quantity: "6",
  InvoiceDate: "2010-12-01 08:26:00",
  UnitPrice: "2.55",
  CustomerID: "17850.0",
  Country: "United Kingdom"
}
type Change = Partial<typeof usable>
const row = (change: Change = {}): OnlineRetailFields =>
  onlineRetailColumns.map((column) => ({ ...usable, ...change })[column])
const cancellation: Change = { InvoiceNo: "C536379", Quantity: "-1" }

describe("a row of Online Retail", () => {
  it("is read with its codes, its member and its instant normalised", () => {
    expect(makeRowReader()(row())).toEqual({
      cancelled: false,
      invoice: "536365",
      product: "85123A",
      name: "WHITE HANGING HEART",
      quantity: 6,
      at: Date.UTC(2010, 11, 1, 8, 26),
      day: Date.UTC(2010, 11, 1) / 86_400_000,
      price: 2.55,
      member: "17850",
      country: "United Kingdom"
    })
  })

  it("of a cancellation has a positive quantity and needs no price", () => {
    const read = makeRowReader()(row({ ...cancellation, UnitPrice: "" }))
    expect(read).toMatchObject({ cancelled: true, quantity: 1, price: 0 })
  })

  it("belongs to the shop's day also where UTC has another", () => {
    const read = makeRowReader()(row({ InvoiceDate: "2011-06-02 00:30:00" }))
    expect(read).toMatchObject({ at: Date.UTC(2011, 5, 1, 23, 30), day: Date.UTC(2011, 5, 2) / 86_400_000 })
  })

  const cases: ReadonlyArray<readonly [UnusableReason, Change]> = [
    ["NoInvoice", { InvoiceNo: " " }],
    ["NoMember", { CustomerID: "" }],
    ["MalformedMember", { CustomerID: "17 850" }],
    ["MalformedMember", { CustomerID: "17850\u0000" }],
    ["NotAProduct", { StockCode: "POST" }],
    ["NotAProduct", { StockCode: "m" }],
    ["NotAProduct", { StockCode: "BANK CHARGES" }],
    ["NotAProduct", { ...cancellation, StockCode: "D" }],
    ["MalformedProduct", { StockCode: "" }],
    ["MalformedProduct", { StockCode: "85123 A" }],
    ["MalformedProduct", { StockCode: "8".repeat(65) }],
    ["MalformedQuantity", { Quantity: "" }],
    ["MalformedQuantity", { Quantity: "six" }],
    ["MalformedQuantity", { Quantity: "1.5" }],
    ["MalformedQuantity", { Quantity: "9".repeat(30) }],
    ["ZeroQuantity", { Quantity: "0" }],
    ["ZeroQuantity", { Quantity: "-0" }],
    ["NegativeWithoutCancellation", { Quantity: "-3" }],
    ["PositiveCancellation", { InvoiceNo: "C536379" }],
    ["QuantityAboveMax", { Quantity: "10001" }],
    ["QuantityAboveMax", { ...cancellation, Quantity: "-74215" }],
    ["MalformedPrice", { UnitPrice: "" }],
    ["MalformedPrice", { UnitPrice: "1e3" }],
    ["MalformedPrice", { UnitPrice: "NaN" }],
    ["MalformedPrice", { UnitPrice: "10000001" }],
    ["PriceNotPositive", { UnitPrice: "0.0" }],
    ["PriceNotPositive", { UnitPrice: "-11062.06" }],
    ["MalformedDescription", { Description: "a\u0000b" }],
    ["MalformedDescription", { Description: "x".repeat(501) }],
    ["MalformedDate", { InvoiceDate: "2010-12-32 08:26:00" }],
    ["MalformedDate", { InvoiceDate: "2011-03-27 01:30:00" }],
    ["MalformedDate", { InvoiceDate: "1999-12-31 12:00:00" }]
  ]
  it.each(cases)("counts as %s: %j", (reason, change) => {
    expect(makeRowReader()(row(change))).toBe(reason)
  })

  it("takes the bounds themselves", () => {
    expect(makeRowReader()(row({ Quantity: "10000", UnitPrice: "0.001", Description: "x".repeat(500) })))
      .toMatchObject({ quantity: 10_000, price: 0.001 })
  })

  it("must not run backwards, and an unusable row does not move the clock", () => {
    const read = makeRowReader()
    const at = (InvoiceDate: string, change: Change = {}) => read(row({ InvoiceDate, ...change }))
    expect(at("2010-12-01 09:00:00")).toMatchObject({ at: Date.UTC(2010, 11, 1, 9) })
    expect(at("2010-12-09 09:00:00", { CustomerID: "" })).toBe("NoMember")
    expect(at("2010-12-01 08:59:00")).toBe("OutOfOrder")
    expect(at("2010-12-01 09:00:00")).toMatchObject({ at: Date.UTC(2010, 11, 1, 9) })
  })

  it("reads the doubled hour of autumn once before and once after the change", () => {
    const read = makeRowReader()
    const at = (InvoiceDate: string) => read(row({ InvoiceDate }))
    expect(at("2011-10-30 01:50:00")).toMatchObject({ at: Date.UTC(2011, 9, 30, 0, 50) })
    expect(at("2011-10-30 01:10:00")).toMatchObject({ at: Date.UTC(2011, 9, 30, 1, 10) })
    expect(at("2011-10-30 01:05:00")).toBe("OutOfOrder")
  })
})
