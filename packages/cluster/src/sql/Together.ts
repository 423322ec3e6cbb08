/** What several fibres ask of the database in one turn of the event loop, asked in one statement: it costs little more than for one. */
import { Effect, Exit, FiberSet, type Scope } from "effect"

interface Waiting<Ask, Answer, E> {
  readonly ask: Ask
  readonly resume: (answer: Exit.Exit<Answer, E>) => void
}

/**
 * Makes `answer` of all that is asked in one turn serve each who asks. It gets the asks in the order in which they came, and
 * answers in that order; when it fails, it fails for all of them. Who gives up before its turn ends is left out, but for the
 * first, in whose name the others are asked.
 */
export const together = <Ask, Answer, E, R>(
  answer: (asks: ReadonlyArray<Ask>) => Effect.Effect<ReadonlyArray<Answer>, E, R>
): Effect.Effect<(ask: Ask) => Effect.Effect<Answer, E>, never, Scope.Scope | R> =>
  Effect.gen(function*() {
    const run = yield* FiberSet.makeRuntime<R>()
    let gathered: Array<Waiting<Ask, Answer, E>> = []
    const answerAll = Effect.suspend(() => {
      const all = gathered
      gathered = []
      return Effect.exit(answer(all.map(({ ask }) => ask))).pipe(
        Effect.map((answers) => {
          for (const [n, { resume }] of all.entries()) resume(Exit.map(answers, (each) => each[n]!))
        })
      )
    })
    return (ask) =>
      Effect.async<Answer, E>((resume) => {
        const waiting = { ask, resume }
        gathered.push(waiting)
        if (gathered.length === 1) run(Effect.interruptible(Effect.zipRight(Effect.yieldNow(), answerAll)))
        return Effect.sync(() => {
          const at = gathered.indexOf(waiting)
          if (at > 0) gathered.splice(at, 1)
        })
      })
  })
