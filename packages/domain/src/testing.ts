/**
 * What a developer needs to test a decider without a cluster: given/when/then, arbitraries from the schemas, and walks of
 * random commands with invariants. See docs/testing.md. The only part of the package that imports fast-check.
 */
export { arbitrary, commandIdPool, commandIds, withFields } from "./testing/Arbitraries.ts"
export { canonical, Mismatch } from "./testing/Mismatch.ts"
export { productStrides } from "./testing/ProductStrides.ts"
export { type Given, given, type Then } from "./testing/Scenario.ts"
export { checkDecider, type Step, type Strides, strides, walk, type WalkOptions } from "./testing/Walk.ts"
