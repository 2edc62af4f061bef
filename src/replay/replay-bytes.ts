// A piece of a recording in bites: texts short enough for the young part of the heap cost a third less to go through than
// long ones (bench/replay).

import type { LineProblem, PieceReport, Replayer } from './replayer.ts'

const BITE_BYTES = 64 << 10
const NEWLINE = 10
const decoder = new TextDecoder()

/** Replays whole lines of UTF-8; bytes that are none become U+FFFD, as in any text. */
export function replayBytes(
  replayer: Replayer,
  bytes: Uint8Array,
  options: { readonly keepChanged: boolean },
): PieceReport {
  const problems: LineProblem[] = []
  const changed: string[] = []
  let lines = 0
  for (let from = 0; from < bytes.length; ) {
    const to = endOfBite(bytes, from)
    const report = replayer.replay(decoder.decode(bytes.subarray(from, to)), options)
    problems.push(...report.problems.map(({ line, message }) => ({ line: lines + line, message })))
    if (report.changed !== '') changed.push(report.changed)
    lines += report.lines
    from = to
  }
  return { lines, problems, changed: changed.join('') }
}

/** Behind the last line feed of the bite; a longer line is a bite of its own. */
function endOfBite(bytes: Uint8Array, from: number): number {
  if (from + BITE_BYTES >= bytes.length) return bytes.length
  const last = bytes.lastIndexOf(NEWLINE, from + BITE_BYTES)
  if (last >= from) return last + 1
  const next = bytes.indexOf(NEWLINE, from + BITE_BYTES)
  return next < 0 ? bytes.length : next + 1
}
