/**
 * The plans that PostgreSQL really used, as it tells them itself (`auto_explain`): of every statement that goes through a
 * pool, those inside functions included, with the rows that each node read.
 */
import pg from "pg"

/** A node as `explain (analyze, format json)` prints it. */
interface PlanNode {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Index Recheck"?: number
  readonly "Shared Hit Blocks"?: number
  readonly "Shared Read Blocks"?: number
  readonly Plans?: ReadonlyArray<PlanNode>
}

/** One statement that ran. */
export interface Ran {
  readonly text: string
  readonly ms: number
  /** Rows of its answer. */
  readonly rows: number
  /** Rows that its scans of tables and indexes read, thrown away ones included. */
  readonly read: number
  /** Pages touched, in memory or not. */
  readonly pages: number
  /** Whole tables that were read, with their rows. */
  readonly sequential: ReadonlyArray<{ readonly table: string; readonly rows: number }>
  /** The most rows that a sort took in. */
  readonly sorted: number
  /** What the scans were, the one that read most first. */
  readonly scans: ReadonlyArray<string>
}

const nodes = (node: PlanNode): ReadonlyArray<PlanNode> => [node, ...(node.Plans ?? []).flatMap(nodes)]
const outOf = (node: PlanNode): number => node["Actual Rows"] * node["Actual Loops"]
const readBy = (node: PlanNode): number =>
  outOf(node) + ((node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0)) *
    node["Actual Loops"]

const ranOf = (text: string, ms: number, root: PlanNode): Ran => {
  const all = nodes(root)
  // Of a bitmap the heap scan tells what was read; its index scans would count the same rows again.
  const scans = all.filter((node) => node["Relation Name"] !== undefined && node["Node Type"].endsWith("Scan"))
    .map((node) => ({ node, read: readBy(node) })).sort((a, b) => b.read - a.read)
  return {
    text: text.replaceAll(/\s+/g, " ").trim(),
    ms,
    rows: outOf(root),
    read: Math.round(scans.reduce((sum, { read }) => sum + read, 0)),
    pages: (root["Shared Hit Blocks"] ?? 0) + (root["Shared Read Blocks"] ?? 0),
    sequential: scans.filter(({ node }) => node["Node Type"].includes("Seq Scan"))
      .map(({ node, read }) => ({ table: node["Relation Name"] ?? "", rows: read })),
    sorted: Math.max(
      0,
      ...all.filter((node) => node["Node Type"] === "Sort").map((node) =>
        (node.Plans ?? []).reduce((sum, each) => sum + outOf(each), 0)
      )
    ),
    scans: [
      ...new Set(
        scans.map(({ node }) =>
          `${node["Node Type"]} ${node["Index Name"] === undefined ? node["Relation Name"] ?? "" : node["Index Name"]}`
        )
      )
    ]
  }
}

const settings = [
  "session_preload_libraries=auto_explain",
  "client_min_messages=log",
  "auto_explain.log_min_duration=0",
  "auto_explain.log_analyze=on",
  "auto_explain.log_buffers=on",
  "auto_explain.log_timing=off",
  "auto_explain.log_nested_statements=on",
  "auto_explain.log_format=json"
]

const plan = /^duration: ([\d.]+) ms {2}plan:\s*(\{[\s\S]*\})\s*$/

/** A pool whose statements are told with their plans. */
export const watchedPool = (url: string, connections: number) => {
  let ran: Array<Ran> = []
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    options: settings.map((setting) => `-c ${setting}`).join(" ")
  })
  pool.on("error", () => {})
  pool.on("connect", (client) => {
    client.on("notice", ({ message = "" }) => {
      const found = plan.exec(message)
      if (found === null) return
      const { Plan: root, "Query Text": text } = JSON.parse(found[2]!) as {
        readonly Plan: PlanNode
        readonly "Query Text": string
      }
      ran.push(ranOf(text, Number(found[1]), root))
    })
  })
  return {
    pool,
    /** What has run since this was last asked. */
    take: (): ReadonlyArray<Ran> => {
      const taken = ran
      ran = []
      return taken
    }
  }
}
