/** The side of a child that answers the bench's questions. */

/** Says that this process serves, and answers each question; both sides are built from the same sources. */
export const serve = <Question extends object>(answer: (question: Question) => Promise<unknown>): void => {
  process.on("message", (message) => {
    if (typeof message !== "object" || message === null || !("ask" in message)) return
    const { ask, ...question } = message
    answer(question as Question).then(
      (value) => process.send?.({ answer: ask, value }),
      (cause) => process.send?.({ answer: ask, error: cause instanceof Error ? cause.stack : String(cause) })
    )
  })
  // Only the bench keeps this process alive.
  process.channel?.ref()
  process.stdout.write("hikyaku-ready {}\n")
}
