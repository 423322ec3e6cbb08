import "./SeededMath.ts"
import { it } from "vitest"
import { makeCounterWorkload } from "./CounterWorkload.ts"
import { simulate } from "./Simulation.ts"
it("time", () => {
  const rows: Array<any> = []
  for (let i = 1; i <= 100; i++) {
    const t = process.cpuUsage(), w = performance.now()
    const r = simulate(`counter-${i}`, makeCounterWorkload)
    const u = process.cpuUsage(t)
    rows.push([i, Math.round((u.user + u.system) / 1000), Math.round(performance.now() - w), r.commands, r.trace.length, Math.round(r.lasted), r.undecided, (r as any).turns])
  }
  rows.sort((a, b) => b[1] - a[1])
  console.log(rows.slice(0, 12).map(String).join("\n")); console.log(rows.slice().sort((a,b)=>a[0]-b[0]).reduce((acc: any[], r, i) => { const k = Math.floor(i/25); acc[k] = (acc[k] ?? 0) + r[1]; return acc }, []).join(" "));console.log(rows.map((r) => r[1]).reduce((a, b) => a + b))
}, 100000)
