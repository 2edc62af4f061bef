// Text in one piece. Text that was cut out of other text or put together refers to where it came from, and stays like that: it keeps a
// whole request in memory for a host name, and JSON.stringify takes four times as long over every record that has one such text in it.

/** The same text on its own. For what is kept or logged; costs 0.1 µs for short ones. */
export function flatText(text: string): string {
  const half = text.length >> 1
  // two parts are written into a new text; one alone, or one and nothing, would be taken as it is
  return half === 0 ? text : [text.slice(0, half), text.slice(half)].join('')
}
