/** Shows how far a long run is: on a terminal one line that changes; elsewhere a line every ten seconds. */
export const display = () => {
  let shownAt = 0
  return (line: string) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${line}`)
    else if (performance.now() - shownAt > 10_000) {
      shownAt = performance.now()
      process.stderr.write(`${line}\n`)
    }
  }
}
