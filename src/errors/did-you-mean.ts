// "Did you mean": the known word closest to what was typed, or nothing if none is close. The only edit distance of the
// project.

/** Longer words are not typing errors, and comparing them with every candidate would take long. */
const LONGEST = 64

/** The candidate with the fewest edits from `typed`, ignoring letter case, if that is at most one edit per
 *  `lettersPerEdit` letters; `undefined` if none is that close. Ties go to the first. */
export function closest(typed: string, candidates: Iterable<string>, lettersPerEdit = 3): string | undefined {
  if (typed.length > LONGEST) return undefined
  const wanted = typed.toLowerCase()
  let best: string | undefined
  let bestEdits = Math.max(1, Math.floor(wanted.length / lettersPerEdit)) + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) >= bestEdits) continue
    const edits = editDistance(wanted, candidate.toLowerCase())
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits]
  }
  return best
}

/** `did you mean \`x\`?`, else a list of the candidates, else undefined when there are none. `noun` names the
 *  candidates. */
export function didYouMean(typed: string, candidates: readonly string[], noun = 'known'): string | undefined {
  const guess = closest(typed, candidates)
  if (guess !== undefined) return `did you mean \`${guess}\`?`
  if (candidates.length === 0) return undefined
  const shown = candidates.slice(0, 12).map((candidate) => `\`${candidate}\``)
  const more = candidates.length - shown.length
  return `${noun}: ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** Insertions, deletions, replacements and swaps of adjacent letters (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (before[j - 2] ?? 0) + 1)
      }
      row.push(edits)
    }
    before = previous
    previous = row
  }
  return previous[b.length] ?? 0
}
