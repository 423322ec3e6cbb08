/**
 * Runs before every test file. Test files share their modules (`--isolate=false`: loading them took longer than the tests),
 * and `layer` of @effect/vitest writes its own `effect` and `scoped` into vitest's one `it`, where the next file would find
 * them, without a test's clock. This puts back what belongs there.
 */
import { it, makeMethods } from "@effect/vitest"

makeMethods(it)
