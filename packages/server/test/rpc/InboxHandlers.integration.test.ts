/** Inboxes: what is stored is listed, watched and marked as read; nothing is missed and nothing comes twice. */
import { PgClient } from "@effect/sql-pg"
import { expect, layer } from "@effect/vitest"
import * as Contacts from "@hikyaku/cluster/delivery/Contacts"
import * as Notices from "@hikyaku/cluster/delivery/Notices"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import { Chunk, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import * as TestApi from "./TestApi.ts"

const notice = (member: string, id: string): Notices.NewNotice => ({
  id,
  member,
  title: `Title ${id}`,
  body: `<p>${id}</p>`
})
const put = (...notices: ReadonlyArray<Notices.NewNotice>) =>
  Effect.flatMap(Notices.Notices, (store) => store.put(notices))

/** The API, and a store beside it that stands for another process. */
const house = Layer.provideMerge(Layer.merge(Notices.layer, Contacts.layer), TestApi.layer())

layer(house, { excludeTestServices: true })("RTM-7 inbox", (it) => {
  it.effect("lists the newest first, in pages, and counts what is unread", () =>
    Effect.gen(function*() {
      yield* put(...Array.from({ length: 5 }, (_, n) => notice("m1", `a${n}`)), notice("m2", "b0"))
      yield* put(notice("m1", "a3"))
      const { inbox } = yield* Hikyaku
      const first = yield* inbox.list({ member: "m1", limit: 3 })
      expect(first.notices.map(({ id, n }) => [id, n])).toEqual([["a4", 5], ["a3", 4], ["a2", 3]])
      expect(first.unread).toBe(5)
      expect((yield* inbox.list({ member: "m1", before: 3 })).notices.map(({ id }) => id)).toEqual(["a1", "a0"])
      expect(yield* inbox.read({ member: "m1", what: { ids: ["a4", "b0", "no such"] } })).toEqual({ changed: 1 })
      expect(yield* inbox.read({ member: "m1", what: { upTo: 2 } })).toEqual({ changed: 2 })
      expect(yield* inbox.read({ member: "m1", what: { upTo: 2 } })).toEqual({ changed: 0 })
      const left = yield* inbox.list({ member: "m1", unreadOnly: true })
      expect(left).toMatchObject({ notices: [{ id: "a3" }, { id: "a2" }], unread: 2 })
      expect((yield* inbox.list({ member: "m2" })).unread).toBe(1)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("a watcher gets what it missed and then what comes, each once and in order", () =>
    Effect.gen(function*() {
      const { inbox } = yield* Hikyaku
      yield* put(notice("w1", "c1"), notice("w1", "c2"), notice("w1", "c3"))
      const caughtUp = yield* Deferred.make<void>()
      const watching = yield* inbox.watch({ member: "w1", after: 1 }).pipe(
        Stream.tap(({ n }) => n === 3 ? Deferred.succeed(caughtUp, undefined) : Effect.void),
        Stream.take(22),
        Stream.runCollect,
        Effect.fork
      )
      yield* Deferred.await(caughtUp)
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, n) => n),
        (n) => put(notice("w1", `d${n}`), notice("w2", `e${n}`)),
        { concurrency: 5 }
      )
      const seen = Chunk.toReadonlyArray(yield* Fiber.join(watching).pipe(Effect.timeout("10 seconds")))
      expect(seen.map(({ n }) => n)).toEqual(Array.from({ length: 22 }, (_, i) => i + 2))
      expect(new Set(seen.map(({ id }) => id)).size).toBe(22)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 over JSON-RPC a stream is refused with a reason", () =>
    Effect.gen(function*() {
      const { answer } = yield* TestApi.postJson(
        JSON.stringify({ jsonrpc: "2.0", id: 1, method: "inbox.watch", params: { member: "m1" } })
      )
      expect(answer).toMatchObject({ error: { code: -32602, data: { _tag: "BadInput" } } })
    }))

  it.effect("contacts belong to whoever registered them last", () =>
    Effect.gen(function*() {
      const { contact } = yield* Hikyaku
      const contacts = yield* Contacts.Contacts
      const found = Effect.map(contacts.find("push", ["m1", "m2"]), (map) => Object.fromEntries(map))
      yield* contact.register({ member: "m1", channel: "push", address: "old" })
      yield* contact.register({ member: "m1", channel: "push", address: "new" })
      expect(yield* found).toEqual({ m1: "new" })
      const sql = yield* PgClient.PgClient
      yield* sql`insert into address_suppression (channel, address, cause, reason) values ('push', 'new', 'hard bounce', '')`
      expect(yield* found).toEqual({ m1: "old" })
      yield* contact.register({ member: "m2", channel: "push", address: "old" })
      expect(yield* found).toEqual({ m2: "old" })
      expect(yield* contact.forget({ member: "m1", channel: "push", address: "old" })).toEqual({ changed: false })
      expect(yield* contact.forget({ member: "m2", channel: "push", address: "old" })).toEqual({ changed: true })
      for (let n = 0; n < 12; n++) yield* contact.register({ member: "m3", channel: "line", address: `u${n}` })
      const [row] = yield* sql<{ readonly n: number }>`select count(*)::int as n from contact where member = 'm3'`
      expect(row?.n).toBe(Contacts.contactsMax)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("lifts what keeps an address from being reached: a suppression, and a system's mails that were declined", () =>
    Effect.gen(function*() {
      const { contact } = yield* Hikyaku
      const sql = yield* PgClient.PgClient
      yield* sql`insert into address_suppression (channel, address, cause, reason) values ('mail', 'x@shop.example', 'hard bounce', '')`
      yield* sql`insert into address_unsubscribed (channel, address, system, delivery) values ('mail', 'x@shop.example', 'crm', 'd')`
      const x = { channel: "mail", address: "X@shop.example" } as const
      expect(yield* contact.suppressed({ channel: "mail", addresses: [x.address] })).toHaveLength(1)
      expect(yield* contact.unsubscribed(x)).toMatchObject([{ system: "crm" }])
      expect(yield* contact.unsuppress(x)).toEqual({ changed: true })
      expect(yield* contact.resubscribe({ ...x, system: "erp" })).toEqual({ changed: false })
      expect(yield* contact.resubscribe({ ...x, system: "crm" })).toEqual({ changed: true })
      expect(yield* contact.suppressed({ channel: "mail", addresses: [x.address] })).toEqual([])
      expect(yield* contact.unsubscribed(x)).toEqual([])
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
