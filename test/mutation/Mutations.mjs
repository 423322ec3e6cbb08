/**
 * The checks that carry promises, each with the edit that takes it away and the narrowest test that must fail then. `find`
 * must occur in the file once; `only` names tests of the file (a regular expression on their names).
 */
const sql = "packages/cluster/src/actor/JournalSql.ts"
const contract = { project: "integration", test: "test/contracts/Journal.test.ts" }
const cell = "packages/cluster/src/actor/Cell.ts"
const round = "packages/cluster/src/actor/Round.ts"
const admission = "packages/cluster/src/actor/Admission.ts"
const unit = (test) => ({ project: "unit", test })
const actorTest = (name) => unit(`packages/cluster/test/actor/${name}.test.ts`)
const stock = (name) => `packages/domain/src/stock/${name}.ts`
const stockTest = (name) => unit(`packages/domain/test/stock/${name}.test.ts`)
const provider = "packages/domain/src/delivery/ProviderDecider.ts"
const providerTest = unit("packages/domain/test/delivery/ProviderDecider.test.ts")
const providerState = "packages/domain/src/delivery/ProviderState.ts"
const messageTest = unit("packages/domain/test/delivery/MessageRate.test.ts")
const store = "packages/cluster/src/delivery/DeliveryStoreSql.ts"
const storeTest = { project: "integration", test: "packages/cluster/test/delivery/DeliveryStore.integration.test.ts" }
const list = "packages/domain/src/delivery/List.ts"
const listTest = unit("packages/domain/test/delivery/List.test.ts")
const turn = "packages/cluster/src/delivery/DispatchTurn.ts"
const faultsTest = {
  project: "integration",
  test: "packages/cluster/test/delivery/DispatcherFaults.integration.test.ts"
}
const sourcesTest = {
  project: "integration",
  test: "packages/cluster/test/delivery/RequestSources.integration.test.ts"
}
const audit = "packages/cluster/src/stock/Audit.ts"
const auditTest = { project: "integration", test: "packages/cluster/test/stock/Audit.integration.test.ts" }
const imports = "packages/cluster/src/marketing/EventImport.ts"
const importTest = (only) => ({
  project: "integration",
  test: "packages/server/test/rpc/EventImport.integration.test.ts",
  only
})
const sweep = "packages/cluster/src/actor/Sweep.ts"
const sweepTest = (only) => ({ ...actorTest("Sweep"), only })
const trial = "packages/cluster/src/marketing/RunTrial.ts"
const trialTest = (only) => ({
  project: "integration",
  test: "packages/cluster/test/marketing/RunTrial.integration.test.ts",
  only
})

export const mutations = [
  // --- The journal: the fence, outcomes, the outbox -----------------------------------------------------------------
  {
    id: "fence: version",
    rule: "G5 R2",
    file: sql,
    find: "where m.version = u.base_version and m.writer",
    replace: "where m.writer",
    ...contract
  },
  {
    id: "fence: writer incarnation",
    rule: "G5 R5",
    file: sql,
    find: "and m.writer = u.base_writer ",
    replace: "",
    ...contract
  },
  { id: "fence: cell", rule: "R8", file: sql, find: "and m.cell = u.base_cell ", replace: "", ...contract },
  {
    id: "fence: placement epoch",
    rule: "R8",
    file: sql,
    find: " and m.epoch = u.base_epoch",
    replace: "",
    ...contract
  },
  {
    id: "fence: first units of an actor",
    rule: "G5",
    file: sql,
    find: "order by u.actor on conflict (id) do nothing returning id",
    replace: "order by u.actor on conflict (id) do update set version = excluded.version returning id",
    ...contract
  },
  {
    id: "reads are confirmed",
    rule: "R1",
    file: sql,
    find: "when not u.changes and (u.actor in (select actor from good)",
    replace: "when not u.changes and (true or u.actor in (select actor from good)",
    ...contract
  },
  {
    id: "known command ids keep a unit out",
    rule: "G3 R3",
    file: sql,
    find: "        knownIn(\"outcomes\")\n",
    replace: "",
    ...contract
  },
  {
    id: "ids that are only asked for",
    rule: "G3 R3",
    file: sql,
    find: "        knownIn(\"asked\")\n",
    replace: "",
    ...contract
  },
  {
    id: "outcomes per actor",
    rule: "R3",
    file: sql,
    find: "where command = ${source}.command and kind = '${kind}' and actor = ${source}.actor limit 1",
    replace: "where command = ${source}.command and kind = '${kind}' limit 1",
    ...contract
  },
  {
    id: "not_after by database time",
    rule: "R6",
    file: sql,
    find: "const inTime = \"(u.not_after is null or u.not_after > extract(epoch from clock_timestamp()) * 1000)\"",
    replace: "const inTime = \"true\"",
    ...contract
  },
  {
    id: "rows of a unit that failed stay out",
    rule: "R2",
    file: sql,
    find: "const own = `where ${isIn(`r.${quote(table.actor)}`, \"done\")}`",
    replace: "const own = \"where true\"",
    ...contract
  },
  {
    id: "happenings of a unit that failed stay in",
    rule: "R13",
    file: sql,
    find: "    where ${isIn(\"r.actor\", \"done\")})`)",
    replace: ")`)",
    ...contract
  },
  {
    id: "a bad unit is found by splitting",
    rule: "R2",
    file: "packages/cluster/src/actor/JournalPostgres.ts",
    find: "return split(units, history, `${state} ${message(cause)}`)",
    replace: "return units.map(() => ({ _tag: \"Fault\", reason: state }))",
    ...contract
  },
  {
    id: "outbox key holds kind, actor and version",
    rule: "R13",
    file: "packages/cluster/src/sql/migrations/0001_runtime.ts",
    find: "  happenings jsonb not null,\n  primary key (kind, actor, version)\n",
    replace: "  happenings jsonb not null\n",
    project: "integration",
    test: "packages/cluster/test/sql/Keys.integration.test.ts"
  },
  {
    id: "one allocation per ticket (the row's key)",
    rule: "G3",
    file: "packages/cluster/src/sql/migrations/0010_stock.ts",
    find:
      "  closed_at timestamptz,\n  primary key (product, ticket)\n) with (fillfactor = 80);\n-- What an actor loads",
    replace: "  closed_at timestamptz\n) with (fillfactor = 80);\n-- What an actor loads",
    project: "integration",
    test: "packages/cluster/test/sql/Keys.integration.test.ts"
  },
  {
    id: "the books must agree at every commit (check)",
    rule: "G1",
    file: "packages/cluster/src/sql/migrations/0010_stock.ts",
    find: "  place bigint not null,\n  check (taken_in + shortage = available + allocated + offered + sold)\n",
    replace: "  place bigint not null\n",
    project: "integration",
    test: "packages/cluster/test/sql/Keys.integration.test.ts"
  },
  {
    id: "another timeline is noticed",
    rule: "R5",
    file: "packages/cluster/src/actor/JournalPostgres.ts",
    find: "if (timeline !== undefined && line !== timeline) generation++",
    replace: "",
    project: "integration",
    test: "packages/cluster/test/actor/JournalPostgres.integration.test.ts"
  },

  // --- The cell ------------------------------------------------------------------------------------------------------
  {
    id: "payload hash: same id, other content",
    rule: "G3 R3",
    file: round,
    find: "earlier.hash === hash",
    replace: "String(hash) !== \"\"",
    ...actorTest("CellRepeats")
  },
  {
    id: "payload hash at the intake",
    rule: "G3 R3",
    file: "packages/cluster/src/actor/Intake.ts",
    find: "if (fingerprint(command.command) !== hash) {",
    replace: "if (hash === \"\") {",
    ...actorTest("Intake")
  },
  {
    id: "ids are looked up after a round without a verdict",
    rule: "R4",
    file: cell,
    find: "if (entry.attempts > 0 || commandTime(entry.id) < old) {",
    replace: "if (commandTime(entry.id) < old) {",
    ...actorTest("Cell")
  },
  {
    id: "ids older than the retention are not executed",
    rule: "R3",
    file: admission,
    find: "if (time >= oldest && time <= newest) return null",
    replace: "if (time <= newest) return null",
    ...actorTest("CellRepeats")
  },
  {
    id: "expired commands are dropped undecided",
    rule: "R10",
    file: admission,
    find: "if (expiresAt <= monotonic) return { _tag: \"Late\" }",
    replace: "",
    ...actorTest("CellTime")
  },
  {
    id: "a stale unit drops the state",
    rule: "R4",
    file: cell,
    find: "      case \"Known\": {\n        this.live.delete(actor)\n",
    replace: "      case \"Known\": {\n",
    ...actorTest("Cell")
  },
  {
    id: "an actor that lives elsewhere is not served",
    rule: "R8",
    file: round,
    find: "base.fence.cell !== name && !takesOver(entry, name === home(actor))",
    replace: "base.fence.cell === \"\"",
    ...actorTest("Cell")
  },
  {
    id: "another history drops what is in memory",
    rule: "R5",
    file: cell,
    find: "    this.generation = this.options.generation()\n    this.forget()\n",
    replace: "    this.generation = this.options.generation()\n",
    ...actorTest("Cell")
  },
  {
    id: "a fault asks for its id",
    rule: "R1 R3",
    file: round,
    find: "      builder.ask(id)\n      const reply: WireReply = { _tag: \"Fault\"",
    replace: "      const reply: WireReply = { _tag: \"Fault\"",
    ...actorTest("CellPoison")
  },
  {
    id: "time does not run backwards",
    rule: "R6",
    file: "packages/cluster/src/actor/UnitBuilder.ts",
    find: "const at = Math.max(now, this.clock)",
    replace: "const at = now",
    ...actorTest("UnitBuilder")
  },
  {
    id: "not_after is that of the earliest deadline",
    rule: "R6",
    file: "packages/cluster/src/actor/UnitBuilder.ts",
    find: "if ((final || facts.length > 0) && notAfter < this.notAfter) this.notAfter = notAfter",
    replace: "",
    ...actorTest("UnitBuilder")
  },
  {
    id: "intake bound in commands",
    rule: "R10",
    file: "packages/cluster/src/actor/Intake.ts",
    find: "this.open.size < this.limits.commandsMax && ",
    replace: "",
    ...actorTest("Intake")
  },
  {
    id: "intake bound in bytes",
    rule: "R10",
    file: "packages/cluster/src/actor/Intake.ts",
    find: "this.limits.commandsMax && this.bytes + bytes <= this.limits.bytesMax",
    replace: "this.limits.commandsMax",
    ...actorTest("Intake")
  },
  {
    id: "latecomers of a round are read anew",
    rule: "R1",
    file: "packages/cluster/src/actor/Intake.ts",
    find: "const waiters = entry.taken ? entry.latecomers : entry.waiters",
    replace: "const waiters = entry.waiters",
    ...actorTest("Intake")
  },
  {
    id: "admission at the gateway",
    rule: "R10 CART-3",
    file: "packages/cluster/src/actor/ClientQueue.ts",
    find: "if (this.open.size >= this.limits.openMax || (queue.open",
    replace: "if ((queue.open",
    ...actorTest("ClientQueue")
  },
  {
    id: "one batch under way per cell",
    rule: "R7",
    file: "packages/cluster/src/actor/ClientQueue.ts",
    find: "if (queue.busy || queue.queue.size === 0) continue",
    replace: "if (queue.queue.size === 0) continue",
    ...actorTest("ClientQueue")
  },
  {
    id: "two probers must agree",
    rule: "R22",
    file: "packages/cluster/src/actor/Detector.ts",
    find: "least(2, (select count(*)",
    replace: "least(1, (select count(*)",
    project: "integration",
    test: "packages/cluster/test/actor/Detector.integration.test.ts"
  },
  {
    id: "a false alarm makes a prober more patient",
    rule: "R22",
    file: "packages/cluster/src/actor/Suspicion.ts",
    find: "Math.min(missesMax, this.needed + missesStep)",
    replace: "this.needed",
    ...actorTest("Suspicion")
  },
  {
    id: "the journal's statements find rows by key, also when they were planned for empty tables",
    rule: "R2",
    file: "packages/cluster/src/actor/JournalPostgres.ts",
    find: "  \"enable_seqscan=off\",\n",
    replace: "",
    project: "integration",
    test: "packages/cluster/test/actor/JournalPlans.integration.test.ts"
  },
  {
    id: "whether an actor is stored is asked by its key",
    rule: "R2",
    file: "packages/cluster/src/actor/JournalSql.ts",
    find: "(select m.id from ${main.name} m where m.id = u.actor) is null",
    replace: "not exists (select from ${main.name} m where m.id = u.actor)",
    project: "integration",
    test: "packages/cluster/test/actor/JournalPlans.integration.test.ts"
  },
  {
    id: "a replay's clock waits for sends of longer ago before it moves",
    rule: "R6",
    file: "packages/server/src/demo/ReplayClock.ts",
    find: "      yield* settleFrom(lagsFrom)\n      yield* advance(to)",
    replace: "      yield* advance(to)",
    project: "integration",
    test: "packages/server/test/demo/ReplayClock.integration.test.ts",
    only: "lets a send end"
  },
  {
    id: "a replay's clock waits for a send that is not known to have been accepted",
    rule: "R6",
    file: "packages/server/src/demo/ReplayClock.ts",
    find: "not (status = 'sent' and",
    replace: "not (true and",
    project: "integration",
    test: "packages/server/test/demo/ReplayClock.integration.test.ts",
    only: "lets a send end"
  },
  {
    id: "a dispatcher waits for the store, and takes nothing over anew",
    rule: "G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "yield* waitedOut(claim)",
    replace: "yield* claim",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherTakeover.integration.test.ts",
    only: "waits for a store that does not answer"
  },
  {
    id: "the delivery store repeats what a deadlock has undone",
    rule: "G5",
    file: "packages/cluster/src/delivery/DeliveryStorePostgres.ts",
    find: "Effect.retry({ times: repeatsMax, while: ({ cause }) => isRepeatable(cause) }),",
    replace: "",
    project: "integration",
    test: "packages/cluster/test/delivery/DeliveryStore.integration.test.ts",
    only: "which lock each other's lists out"
  },
  {
    id: "a deposed dispatcher gives the slots of what is ready back at once",
    rule: "G12",
    file: "packages/cluster/src/delivery/DispatchTurn.ts",
    find: "Effect.all([Effect.ignore(desk.flush), put], { concurrency: 2, discard: true })",
    replace: "put",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherTakeover.integration.test.ts",
    only: "gives the slots of what is ready back"
  },
  {
    id: "two requests are ready for each place",
    rule: "G11",
    file: "packages/cluster/src/delivery/SlotDesk.ts",
    find: "const readyPerPlace = 2",
    replace: "const readyPerPlace = 1",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherTakeover.integration.test.ts",
    only: "gives the slots of what is ready back"
  },
  {
    id: "a replay's clock follows the shop's work only as far as a message's deadline",
    rule: "R6",
    file: "packages/server/src/demo/ReplayClock.ts",
    find: "moveTo(at, firstDeadline)",
    replace: "moveTo(at)",
    project: "integration",
    test: "packages/server/test/demo/ReplayClock.integration.test.ts",
    only: "follows the shop's work"
  },
  {
    id: "a connection that does not answer within its statement's limit is given up",
    rule: "G12",
    file: "packages/cluster/src/sql/PreparedClient.ts",
    find: "this.connection.stream.destroy(",
    replace: "void (",
    project: "integration",
    test: "packages/cluster/test/sql/PreparedClient.integration.test.ts",
    only: "neither answers nor breaks"
  },
  {
    id: "a dispatcher's statements have a limit",
    rule: "G12",
    file: "packages/cluster/src/delivery/DeliveryStorePostgres.ts",
    find: "unbounded<A>(within(statementMax, statement), parameters)",
    replace: "unbounded<A>(statement, parameters)",
    ...storeTest,
    only: "limit"
  },
  {
    id: "a runner that comes waits for shards that are given back a moment later",
    rule: "G5",
    file: "packages/cluster/src/actor/RunnerStoragePostgres.ts",
    find: "locks.acquire(numbers(shards), handOff)",
    replace: "locks.acquire(numbers(shards))",
    project: "integration",
    test: "packages/cluster/test/actor/RunnerStoragePostgres.integration.test.ts",
    only: "about to give back"
  },
  {
    id: "a shard's lock comes back by itself when its session was ended",
    rule: "R22",
    file: "packages/cluster/src/sql/AdvisoryLocks.ts",
    find: "new Set([...asked.keys(), ...owned])",
    replace: "new Set(asked.keys())",
    project: "integration",
    test: "packages/cluster/test/sql/AdvisoryLocks.integration.test.ts"
  },
  {
    id: "a shard's lock that another has taken is given up in time",
    rule: "R22",
    file: "packages/cluster/src/sql/AdvisoryLocks.ts",
    find: "if (since === undefined || now < since + settings.graceMs) return true",
    replace: "return true",
    project: "integration",
    test: "packages/cluster/test/sql/AdvisoryLocks.integration.test.ts"
  },
  {
    id: "a lock whose asker was interrupted is given back",
    rule: "R25",
    file: "packages/cluster/src/sql/AdvisoryLocks.ts",
    find: "[...held].filter((key) => !isWanted(key))",
    replace: "[...held].filter((key) => !isWanted(key) && key < 0)",
    project: "integration",
    test: "packages/cluster/test/sql/AdvisoryLocks.integration.test.ts"
  },

  // --- Stock ---------------------------------------------------------------------------------------------------------
  {
    id: "no more than there is",
    rule: "G1",
    file: stock("ProductDecide"),
    find: "if (waiting === 0 && quantity <= available(draft.state)) {",
    replace: "if (waiting === 0) {",
    ...stockTest("ProductDecide")
  },
  {
    id: "nobody gets past the waitlist",
    rule: "G4",
    file: stock("ProductDecide"),
    find: "if (waiting === 0 && quantity <= available(draft.state)) {",
    replace: "if (quantity <= available(draft.state)) {",
    ...stockTest("TicketDecide")
  },
  {
    id: "gapless sequence",
    rule: "G4",
    file: stock("ProductDecide"),
    find: "const sequence = draft.state.sequence + 1",
    replace: "const sequence = draft.state.sequence + 2",
    ...stockTest("ProductDecide")
  },
  {
    id: "a ticket once, under whatever id",
    rule: "G3",
    file: stock("ProductDecide"),
    find: "  if (known !== undefined) {",
    replace: "  if (known !== undefined && quantity < 0) {",
    ...stockTest("ProductDecide")
  },
  {
    id: "limit per member over all tickets",
    rule: "CART",
    file: stock("ProductDecide"),
    find: "if (memberLimit !== null && open + quantity > memberLimit) {",
    replace: "if (memberLimit !== null && quantity > memberLimit) {",
    ...stockTest("ProductDecide")
  },
  {
    id: "limit for life",
    rule: "CART",
    file: stock("ProductDecide"),
    find: "(state.bought.get(member) ?? 0) + open + quantity > lifetimeLimit",
    replace: "open + quantity > lifetimeLimit",
    ...stockTest("ProductDecide")
  },
  {
    id: "tombstones bar their tickets",
    rule: "G6",
    file: stock("ProductDecide"),
    find: "  if (tombstone !== undefined) return draft.outcome({ _tag: tombstone.reason })\n",
    replace: "",
    ...stockTest("TicketDecide")
  },
  {
    id: "a cancel that overtakes its add leaves a tombstone",
    rule: "G6",
    file: stock("TicketDecide"),
    find: "{ _tag: \"TicketBarred\", ticket: id, reason, until: now + tombstoneMs }",
    replace: "undefined",
    ...stockTest("TicketDecide")
  },
  {
    id: "nothing is done with a lapsed ticket",
    rule: "G6 R15",
    file: stock("ProductDraft"),
    find: "      this.lapseIfDue(concerned)\n      this.lapseIfDue(concerned)\n",
    replace: "",
    ...stockTest("ProductDecide")
  },
  {
    id: "a hold belongs to one order",
    rule: "R14",
    file: stock("TicketDecide"),
    find:
      "  if (ticket._tag === \"Held\" && ticket.order !== command.order) return draft.outcome({ _tag: \"HeldByOther\" })\n",
    replace: "",
    ...stockTest("TicketDecide")
  },
  {
    id: "stock versions count once",
    rule: "G1",
    file: stock("StockDecide"),
    find: "if (seen !== undefined && sourceVersion <= seen)",
    replace: "if (seen !== undefined && sourceVersion < 0)",
    ...stockTest("StockDecide")
  },
  {
    id: "a shortage is stated",
    rule: "G1",
    file: stock("StockDecide"),
    find: "if (shortNow > short) {",
    replace: "if (shortNow < short) {",
    ...stockTest("StockDecide")
  },
  {
    id: "no more returned than bought",
    rule: "G1",
    file: stock("TicketDecide"),
    find: "if (command.quantity > remaining || ",
    replace: "if (",
    ...stockTest("TicketDecide")
  },
  {
    id: "given up without an answer is put on record",
    rule: "G6",
    file: "packages/cluster/src/stock/GivenUp.ts",
    find: "? record([ticket]).pipe(Effect.catchAll(() => Effect.sync(() => remember(ticket))))",
    replace: "? Effect.void",
    project: "integration",
    test: "packages/server/test/rpc/CartHandlers.integration.test.ts"
  },
  {
    id: "an add out of time is given up",
    rule: "G6",
    file: "packages/server/src/rpc/CartAdds.ts",
    find: "if (answer.left._tag === \"NoAnswer\") later(n, call, giveUp(call, \"TimedOut\"))\n          else finish",
    replace: "finish",
    project: "integration",
    test: "packages/server/test/rpc/CartHandlers.integration.test.ts"
  },

  // --- The audit -----------------------------------------------------------------------------------------------------
  {
    id: "audit: open allocations",
    rule: "G1",
    file: audit,
    find: "    ('pieces in carts = open allocations', allocated, open_found),\n",
    replace: "",
    ...auditTest
  },
  {
    id: "audit: sold and returned",
    rule: "G1",
    file: audit,
    find: "bought - returned as sold_found",
    replace: "sold as sold_found",
    ...auditTest
  },
  {
    id: "audit: every number once",
    rule: "G4",
    file: audit,
    find: "then n * (n + 1) / 2 else total end, total),",
    replace: "then total else total end, total),",
    ...auditTest
  },
  {
    id: "audit: every number once (squares)",
    rule: "G4",
    file: audit,
    find: "then n::numeric * (n + 1) * (2 * n + 1) / 6 else squares end",
    replace: "then squares else squares end",
    ...auditTest
  },
  {
    id: "audit: a page goes on where the last one ended",
    rule: "G1",
    file: audit,
    find: "(select max(id) from page having exists (select 1 from product where id > max(page.id))) as next",
    replace: "null::text as next",
    ...auditTest
  },

  // --- Caps ----------------------------------------------------------------------------------------------------------
  {
    id: "caps count in every sliding window",
    rule: "G7 R18",
    file: "packages/domain/src/marketing/FrequencyCap.ts",
    find: "  for (let i = 0; i < holds.length; i++) {\n    const from = holds[i]!.notBefore\n",
    replace: "  for (let i = 0; i < 0; i++) {\n    const from = holds[i]!.notBefore\n",
    ...unit("packages/domain/test/marketing/FrequencyCap.test.ts")
  },
  {
    id: "a pending delivery counts until its deadline",
    rule: "R18",
    file: "packages/domain/src/marketing/FrequencyCap.ts",
    find: "if (hold.notBefore <= t + reach && hold.deadline >= t) n++",
    replace: "if (hold.notBefore <= t + reach && hold.notBefore >= t) n++",
    ...unit("packages/domain/test/marketing/FrequencyCap.test.ts")
  },
  {
    id: "one delivery per run and member",
    rule: "R18 G8",
    file: "packages/domain/src/marketing/MemberDecider.ts",
    find: "const earlier = byRun(member.holds, command.run) ?? byRun(member.gone, command.run)",
    replace: "const earlier = byRun(member.gone, command.run)",
    ...unit("packages/domain/test/marketing/Member.test.ts")
  },
  {
    id: "no refund of what was sent",
    rule: "R19 G8",
    file: "packages/domain/src/marketing/MemberDecider.ts",
    find:
      "      if (hold.phase === \"sent\") return outcome({ _tag: \"KeptAsSent\" })\n      return outcome({ _tag: \"Refunded\", first: true }",
    replace: "      return outcome({ _tag: \"Refunded\", first: true }",
    ...unit("packages/domain/test/marketing/Member.test.ts")
  },

  // --- Sending -------------------------------------------------------------------------------------------------------
  {
    id: "limit on requests under way",
    rule: "G9 R20",
    file: providerState,
    find: "freeSlots(widened(room, wide), own, operation) === 0 ||",
    replace: "",
    ...providerTest
  },
  {
    id: "rate over a sliding window",
    rule: "G9",
    file: providerState,
    find: "if (ofRequests > 0) return",
    replace: "if (ofRequests < 0) return",
    ...providerTest
  },
  {
    id: "messages of a sliding second",
    rule: "G9",
    file: providerState,
    find: "return ofSecond > 0 ?",
    replace: "return ofSecond < 0 ?",
    ...messageTest
  },
  {
    id: "messages of a sliding day",
    rule: "G9",
    file: providerState,
    find: "if (ofDay > 0) return",
    replace: "if (ofDay < 0) return",
    ...messageTest
  },
  {
    id: "sends whose outcome is open count towards the day",
    rule: "G9 R20",
    file: providerState,
    find: "inDay(state.day, openStarts(state), limits.marginMs, wall)",
    replace: "inDay(state.day, [], limits.marginMs, wall)",
    ...messageTest
  },
  {
    id: "a part of the day counts until its last instant has left",
    rule: "G9",
    file: "packages/domain/src/delivery/MessageRate.ts",
    find: "from + dayPartMs + dayMs + marginMs",
    replace: "from + dayMs + marginMs",
    ...messageTest
  },
  {
    id: "a big list keeps its place before small ones",
    rule: "G12",
    file: provider,
    find: "if (hold.by === \"messages per second\") secondHeldMs = hold.forMs",
    replace: "",
    ...messageTest
  },
  {
    id: "a slot's row says how many messages it carries",
    rule: "G9 R20",
    file: "packages/cluster/src/delivery/ProviderActor.ts",
    find: "messages: slot.messages ?? 0",
    replace: "messages: 0",
    ...unit("packages/cluster/test/delivery/ProviderActor.test.ts")
  },
  {
    id: "the day's messages are stored",
    rule: "G9 R20",
    file: "packages/cluster/src/delivery/ProviderActor.ts",
    find: "day: state.day, pushback",
    replace: "day: [], pushback",
    ...unit("packages/cluster/test/delivery/ProviderActor.test.ts")
  },
  {
    id: "nothing is listed that today cannot send",
    rule: "G13",
    file: "packages/cluster/src/delivery/Unsent.ts",
    find: "LeftOfDay => besides(listed, left)",
    replace: "LeftOfDay => ({ realtime: null, batch: null })",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherMessages.integration.test.ts",
    only: "takes over"
  },
  {
    id: "a list that is put off, or whose upload is in doubt, still counts towards what a day leaves",
    rule: "G9 G13",
    file: "packages/cluster/src/delivery/Unsent.ts",
    find: "of [...lists, ...waiting]",
    replace: "of lists",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherMessages.integration.test.ts",
    only: "are left to an upload in doubt"
  },
  {
    id: "no more is uploaded than a day leaves, however much was listed",
    rule: "G9 G13",
    file: "packages/cluster/src/delivery/Unsent.ts",
    find: "(day === null || list.recipients <= day)",
    replace: "true",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherMessages.integration.test.ts",
    only: "bound what is uploaded"
  },
  {
    id: "a dispatcher that is to go dispatches on until another has taken over",
    rule: "G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "settings.handOverMs > 0 && Exit.isInterrupted(exit)",
    replace: "false",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherTakeover.integration.test.ts",
    only: "goes on until"
  },
  {
    id: "a dispatcher that is to go dispatches on as long as there is anything to do",
    rule: "G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "turns.isQuiet() ? Effect",
    replace: "turns.busy().length === 0 ? Effect",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherTakeover.integration.test.ts",
    only: "even in between"
  },
  {
    id: "a dispatcher that has just come leaves the account to the one that is at work",
    rule: "G11 G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "yield* rehearse(settings, options.render)",
    replace: "yield* Effect.void",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherNewcomer.integration.test.ts",
    only: "leaves the account"
  },
  {
    id: "a dispatcher that has just come takes over at once from a dead one",
    rule: "G12",
    file: "packages/cluster/src/delivery/Rehearsal.ts",
    find: "owner === view.owner && grantedAt > wall - leaseMs",
    replace: "owner === view.owner && grantedAt > 0 * (wall - leaseMs)",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherNewcomer.integration.test.ts",
    only: "from one that is dead"
  },
  {
    id: "a dispatcher that has just come takes over when it has waited long enough",
    rule: "G12",
    file: "packages/cluster/src/delivery/Rehearsal.ts",
    find: "now < until ? round",
    replace: "until > 0 ? round",
    project: "integration",
    test: "packages/cluster/test/delivery/DispatcherNewcomer.integration.test.ts",
    only: "all the same"
  },
  {
    id: "a place is free before its answer is read only where that says that it was done",
    rule: "G9",
    file: "packages/cluster/src/delivery/HttpProvider.ts",
    find: "if (response.status >= 200 && response.status < 300) {",
    replace:
      "if (terms.answered !== undefined && response.status >= 300) yield* terms.answered\n        if (response.status < 300) {",
    project: "integration",
    test: "packages/server/test/http/ProviderClient.integration.test.ts",
    only: "the place of a request"
  },
  {
    id: "what is patient waits for the last uploads, what is not does not",
    rule: "G13",
    file: "packages/domain/src/delivery/Dispatch.ts",
    find: "candidate.patient === true && candidate.operation",
    replace: "candidate.operation",
    ...unit("packages/domain/test/delivery/Dispatch.test.ts"),
    only: "lets what is patient wait"
  },
  {
    id: "only a few requests per place are made ready",
    rule: "G11",
    file: "packages/cluster/src/delivery/SlotDesk.ts",
    find: "Math.min(aheadMax, readyPerPlace * places())",
    replace: "aheadMax",
    ...unit("packages/cluster/test/delivery/SlotDesk.test.ts")
  },
  {
    id: "only batch that has time enough may wait for the last uploads",
    rule: "G11 G13",
    file: "packages/cluster/src/delivery/ListCandidates.ts",
    find: "laneOf(list.class) === \"batch\" && latest - now > patienceMs",
    replace: "latest - now > 0",
    ...unit("packages/cluster/test/delivery/ListCandidates.test.ts")
  },
  {
    id: "a defect does not end the dispatcher",
    rule: "G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "Effect.catchAllCause((cause) =>",
    replace: "Effect.catchAll((cause) =>",
    ...faultsTest,
    only: "look: does not end"
  },
  {
    id: "a defect beside the turns leaves no list behind",
    rule: "G12",
    file: "packages/cluster/src/delivery/Dispatcher.ts",
    find: "Effect.raceFirst(Effect.forever(Effect.flatten(turn)), turns.broken)",
    replace: "Effect.forever(Effect.flatten(turn))",
    ...faultsTest,
    only: "begin before: does not end"
  },
  {
    id: "a slot lapses no sooner than its request can be over",
    rule: "R20",
    file: provider,
    find: "freeAt: notAfter + request.endsWithinMs",
    replace: "freeAt: notAfter",
    ...providerTest
  },
  {
    id: "a deposed dispatcher is granted nothing",
    rule: "G5 R20",
    file: provider,
    find: "      if (state.owner !== command.owner) {\n",
    replace: "      if (state.owner === \"\") {\n",
    ...providerTest
  },
  {
    id: "a slot has one request",
    rule: "R20",
    file: provider,
    find: "    if (held !== undefined) {\n      if (held.owner === command.owner)",
    replace: "    if (held !== undefined && wall < 0) {\n      if (held.owner === command.owner)",
    ...providerTest
  },
  {
    id: "nothing starts after its deadline",
    rule: "G13",
    file: "packages/domain/src/delivery/Dispatch.ts",
    find: "candidate.deadline !== null && candidate.deadline <= now",
    replace: "candidate.deadline !== null && candidate.deadline <= 0",
    ...unit("packages/domain/test/delivery/Dispatch.test.ts")
  },
  {
    id: "dispatcher stays within the limits",
    rule: "G9",
    file: "packages/domain/src/delivery/Dispatch.ts",
    find: "      if (freeSlots(concurrency, inFlight, operation) === 0) return []\n",
    replace: "",
    ...unit("packages/domain/test/delivery/Dispatch.test.ts")
  },
  {
    id: "refund with the terminal status",
    rule: "R19",
    file: store,
    find: "  select id, member, shop_now() from gone\n  where request is null and status in",
    replace: "  select id, member, shop_now() from gone\n  where false and status in",
    ...storeTest
  },
  {
    id: "one address per run",
    rule: "G10",
    file: store,
    find: "or exists (select from delivery e where e.run = r.run and lower(e.address) = lower(r.address))",
    replace: "",
    ...storeTest
  },

  // --- A send in doubt ----------------------------------------------------------------------------------------------
  {
    id: "doubt: a repeat says that there was a send before it",
    rule: "G8 R19",
    file: list,
    find: "uploadId: state.uploadId, inDoubt: true }",
    replace: "uploadId: state.uploadId }",
    ...listTest
  },
  {
    id: "doubt: a repeat that did not start leaves it",
    rule: "G8 R19",
    file: list,
    find: "if (state.status === \"sending\") return { ...state, status: \"uploaded\" }",
    replace: "if (state.status === \"sending\") return { status: \"uploaded\", attempt, uploadId: state.uploadId }",
    ...listTest
  },
  {
    id: "doubt: a refused repeat proves nothing",
    rule: "G8 R19",
    file: list,
    find: "case \"Refused\":\n      if (mayHaveGone(state)) return null\n",
    replace: "case \"Refused\":\n",
    ...listTest
  },
  {
    id: "doubt: a deadline proves nothing",
    rule: "G8 R19",
    file: list,
    find: "case \"DeadlinePassed\":\n      if (mayHaveGone(state)) return null\n",
    replace: "case \"DeadlinePassed\":\n",
    ...listTest
  },
  {
    id: "doubt: the store does not expire it",
    rule: "G8 R19",
    file: store,
    find: "and doubtful is null and deadline <= shop_now()",
    replace: "and deadline <= shop_now()",
    ...storeTest
  },
  {
    id: "doubt: the store does not withdraw it",
    rule: "G8 R19",
    file: store,
    find: "where d.list_id in (select id from list where doubtful is null) and d.status = 'listed'",
    replace: "where d.list_id in (select id from list) and d.status = 'listed'",
    ...storeTest
  },
  {
    id: "doubt: a refused repeat is unknown",
    rule: "G8 R19",
    file: "packages/cluster/src/delivery/ListRequests.ts",
    find: "yield* mayHaveGone(begun)\n",
    replace: "yield* (begun.attempt < 0)\n",
    ...faultsTest,
    only: "is refused when it is repeated"
  },
  {
    id: "doubt: past its deadline it is unknown",
    rule: "G8 R19",
    file: turn,
    find: "} else if (mayHaveGone(list.state) && (late || promises.reconciliation !== \"retry-key\")) {",
    replace: "} else if (late && list.recipients < 0) {",
    ...faultsTest,
    only: "whose deadline passes before its repeat"
  },
  {
    id: "doubt: a key that is too old is not repeated",
    rule: "R21",
    file: turn,
    find: "if (isDoubtful && promises.reconciliation === \"retry-key\" && repeatableFor(list) <= 0) {",
    replace: "if (isDoubtful && list.recipients < 0) {",
    ...faultsTest,
    only: "key is too old"
  },
  {
    id: "doubt: a key's age counts from the first send",
    rule: "R21",
    file: store,
    find: "when w.status = 'uploaded' and l.doubtful is null then clock_timestamp()",
    replace: "when w.status = 'uploaded' then clock_timestamp()",
    ...storeTest
  },

  // --- Requests of other systems --------------------------------------------------------------------------------------
  {
    id: "requests: a page of a source is taken once",
    rule: "MAIL-1",
    file: "packages/cluster/src/delivery/RequestStoreSql.ts",
    find: "not source_done and lines = $4 - 1",
    replace: "not source_done and $4::integer > 0",
    ...sourcesTest
  },
  {
    id: "requests: a source's key that recurs is told",
    rule: "MAIL-1",
    file: "packages/cluster/src/delivery/RequestSources.ts",
    find: "pageOf(definition, after, pageSize + 1)",
    replace: "pageOf(definition, after, pageSize)",
    ...sourcesTest
  },
  {
    id: "requests: the shop's own tables are no source",
    rule: "G17",
    file: "packages/cluster/src/delivery/RecipientTables.ts",
    find: "if (any.reserved) {",
    replace: "if (any.name === \"\") {",
    ...sourcesTest
  },
  {
    id: "requests: a system uses only tables that it may",
    rule: "G17",
    file: "packages/server/src/rpc/RequestSource.ts",
    find: "if (!system.tables.includes(from.table)) {",
    replace: "if (from.table === \"\") {",
    project: "integration",
    test: "packages/server/test/rpc/RequestSource.integration.test.ts"
  },
  {
    id: "requests: who unsubscribed is left out",
    rule: "RFC 8058",
    file: store,
    find: "where q.id = p.request and q.links)",
    replace: "where q.id = p.request and false)",
    project: "integration",
    test: "packages/cluster/test/delivery/RequestUnsubscribe.integration.test.ts"
  },
  {
    id: "requests: a paused one's lists expire",
    rule: "G13",
    file: store,
    find: "and deadline > shop_now() and ${ofRequest(\"delivery_list\", \"paused\")} as paused",
    replace: "and ${ofRequest(\"delivery_list\", \"paused\")} as paused",
    project: "integration",
    test: "packages/cluster/test/delivery/Requests.integration.test.ts",
    only: "also while they are paused"
  },
  {
    id: "requests: what a paused one has uploaded counts for the day",
    rule: "G9",
    file: "packages/cluster/src/delivery/Unsent.ts",
    find: "const day = besides(there, left)[cls]",
    replace: "const day = besides(uploaded, left)[cls]",
    ...unit("packages/cluster/test/delivery/Unsent.test.ts")
  },
  {
    id: "requests: one that is resumed does not go on resting",
    rule: "G11",
    file: "packages/cluster/src/delivery/ListMaking.ts",
    find: "for (const id of resting.keys()) if (!byId.has(id)) resting.delete(id)",
    replace: "",
    ...unit("packages/cluster/test/delivery/ListMaking.test.ts")
  },

  // --- Events --------------------------------------------------------------------------------------------------------
  {
    id: "an event once, by source and id",
    rule: "R13",
    file: "packages/cluster/src/marketing/EventLogSql.ts",
    find: "select distinct on (e.source, e.event_id) e.* from e join fresh using (source, event_id)",
    replace: "select distinct on (e.source, e.event_id) e.* from e",
    project: "integration",
    test: "packages/cluster/test/marketing/EventLog.integration.test.ts"
  },
  {
    id: "an event's content is compared",
    rule: "R13",
    file: "packages/cluster/src/marketing/EventLogSql.ts",
    find: "s.hash is null or s.hash = e.hash as same",
    replace: "true as same",
    project: "integration",
    test: "packages/cluster/test/marketing/EventLog.integration.test.ts"
  },
  {
    id: "the relay keeps the order of an actor's events",
    rule: "R13",
    file: "packages/cluster/src/marketing/EventLogSql.ts",
    find: "row_number() over (partition by h.partition order by h.place)",
    replace: "row_number() over (partition by h.partition order by h.place desc)",
    project: "integration",
    test: "packages/cluster/test/marketing/EventLog.integration.test.ts"
  },
  {
    id: "rules see what is left of a product now",
    rule: "RTM-4",
    file: "packages/cluster/src/marketing/ProductFacts.ts",
    find: "coalesce(p.available::int, c.available) as stock",
    replace: "c.available as stock",
    project: "integration",
    test: "packages/cluster/test/marketing/OnlineRetail.integration.test.ts"
  },

  // --- Imports of events: each counts once, and none goes on over a gap ---------------------------------------------
  {
    id: "import: its row moves in the commit that appends",
    rule: "G3",
    file: imports,
    find: "sql.withTransaction(append(id, first, events, last))",
    replace: "append(id, first, events, last)",
    ...importTest("lost between the append and the count")
  },
  {
    id: "import: what was taken before is left out",
    rule: "G3",
    file: imports,
    find: "events.slice(before.lines + 1 - first)",
    replace: "events",
    ...importTest("takes each event once")
  },
  {
    id: "import: a gap is refused",
    rule: "G16",
    file: imports,
    find: "const gap = first > before.lines + 1",
    replace: "const gap = false",
    ...importTest("a gap, a finished import")
  },
  {
    id: "import: what is finished takes no more",
    rule: "G16",
    file: imports,
    find: "(before.finished && end > before.lines)",
    replace: "false",
    ...importTest("a gap, a finished import")
  },
  {
    id: "import: one has its turn at a time",
    rule: "R23",
    file: imports,
    find: "        yield* turn\n",
    replace: "",
    ...importTest("many at once fill no more")
  },
  {
    id: "import: looks for room in its turn",
    rule: "R23",
    file: imports,
    find: "        yield* fits\n",
    replace: "",
    ...importTest("many at once fill no more")
  },

  {
    id: "clock: follows when it is told",
    rule: "R6",
    file: "packages/cluster/src/actor/ShopClock.ts",
    find: "Effect.raceFirst(rest, nudge.beyond(clockTopic, seen))",
    replace: "rest",
    project: "integration",
    test: "packages/cluster/test/actor/ShopClock.integration.test.ts",
    only: "follows when it is told"
  },

  // --- Sweeps: what a page of a run is told rests on a commit, and on actors of this process ------------------------
  {
    id: "sweep: answers only what was committed",
    rule: "R1 R5",
    file: sweep,
    find: "if (verdicts[i]?._tag === \"Committed\") replies.set",
    replace: "replies.set",
    ...sweepTest("R1, R5: answers nothing for whom somebody else wrote")
  },
  {
    id: "sweep: actors of other processes",
    rule: "R8",
    file: sweep,
    find: " || !hosts(home(actor))",
    replace: "",
    ...sweepTest("R8: leaves alone")
  },
  {
    id: "sweep: actors in cells of their own",
    rule: "R8",
    file: sweep,
    find: "if (base.fence.cell !== home(actor)) continue",
    replace: "",
    ...sweepTest("R8: leaves alone")
  },
  {
    id: "sweep: what is no command",
    rule: "R10",
    file: sweep,
    find: " || !(known.has(command) || isCommand(command))",
    replace: "",
    ...sweepTest("R10: what breaks the decider")
  },
  {
    id: "sweep: one unit of an actor in a group",
    rule: "R2",
    file: sweep,
    find: "own.get(actor) === command ? replies",
    replace: "own.has(actor) ? replies",
    ...sweepTest("asks each actor something of its own")
  },
  {
    id: "members' relay: who does not go smoothly is told through the cell",
    rule: "R18 R19",
    file: "packages/cluster/src/delivery/MemberRelay.ts",
    find: "known[index] = replies[n] !== null",
    replace: "known[index] = true",
    project: "integration",
    test: "packages/cluster/test/delivery/MemberRelay.integration.test.ts"
  },
  {
    id: "sweep: another history of the store",
    rule: "R5",
    file: sweep,
    find: "if (generation() !== history) return replies",
    replace: "",
    ...sweepTest("R4, R5: says nothing when nobody knows")
  },
  {
    id: "sweep: no commit after its time",
    rule: "R6",
    file: sweep,
    find: "clock.real() + deadlineDefault",
    replace: "Number.MAX_SAFE_INTEGER",
    ...sweepTest("R6: no instant before")
  },
  {
    id: "sweep: each is decided under its own catch",
    rule: "R10",
    file: sweep,
    find: "} catch {\n          continue",
    replace: "} catch (cause) {\n          throw cause",
    ...sweepTest("R10: what breaks the decider")
  },

  // --- Trials: counted is who would be sent to ----------------------------------------------------------------------
  {
    id: "trial: says why members are left out",
    rule: "G18",
    file: trial,
    find: "leftOut[verdict.reason] = (leftOut[verdict.reason] ?? 0) + 1",
    replace: "leftOut[verdict.stage] = (leftOut[verdict.stage] ?? 0) + 1",
    ...trialTest("a run sends to whom the count says")
  },
  {
    id: "trial: judges on the terms of the run",
    rule: "G7",
    file: trial,
    find: "terms: termsOf(definition, shop)",
    replace: "terms: { ...termsOf(definition, shop), globalCaps: [] }",
    ...trialTest("a run sends to whom the count says")
  },

  // --- What is taken together, and what is not looked for -----------------------------------------------------------
  {
    id: "aggregation: a later publication outweighs",
    rule: "R13",
    file: "packages/cluster/src/marketing/Aggregation.ts",
    find: "and later.happening->>'product' = taken.happening->>'product')`",
    replace: "and false)`",
    project: "integration",
    test: "packages/cluster/test/marketing/Aggregation.integration.test.ts"
  },
  {
    id: "plans: let go of with time",
    rule: "P1",
    file: "packages/cluster/src/sql/PreparedClient.ts",
    find: "super.query(\"discard plans\"",
    replace: "super.query(\"select 1\"",
    project: "integration",
    test: "packages/cluster/test/sql/PreparedClient.integration.test.ts"
  },
  {
    id: "nudges: nobody hears itself",
    rule: "P1",
    file: "packages/cluster/src/actor/Nudge.ts",
    find: "=== origin) return",
    replace: "=== origin && false) return",
    project: "integration",
    test: "packages/cluster/test/actor/Nudge.integration.test.ts"
  },
  {
    id: "timers: what is committed here is known to be due",
    rule: "R15",
    file: "packages/cluster/src/actor/Timers.ts",
    find: "journal.takeDue() ?? next",
    replace: "next",
    project: "unit",
    test: "packages/cluster/test/actor/Timers.test.ts"
  },
  {
    id: "timers: cells that are new here are looked at",
    rule: "R15",
    file: "packages/cluster/src/actor/Timers.ts",
    find: "own === owned &&",
    replace: "",
    project: "unit",
    test: "packages/cluster/test/actor/Timers.test.ts"
  },
  {
    id: "aggregation: what one partition holds does not hold up another",
    rule: "R13",
    file: "packages/cluster/src/marketing/EventProcessor.ts",
    find: "Effect.orElse(all, () => each)",
    replace: "all",
    project: "integration",
    test: "packages/cluster/test/marketing/EventProcessor.integration.test.ts"
  },
  {
    id: "who comes too late for a range passes nothing on",
    rule: "R13",
    file: "packages/cluster/src/marketing/Aggregation.ts",
    find: "from moved m\n  where m.judged",
    replace: "from asked m\n  where m.judged",
    project: "integration",
    test: "packages/cluster/test/marketing/Aggregation.integration.test.ts"
  },
  {
    id: "templates: nesting is bounded before the parser",
    rule: "G16",
    file: "packages/domain/src/marketing/TemplateShape.ts",
    find: "if (++brackets > parsedNestingMax) refuse()",
    replace: "++brackets",
    ...unit("packages/domain/test/marketing/Content.test.ts")
  }
]
