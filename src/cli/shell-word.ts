// A text as one word of a POSIX shell's command line, for lines that people copy.

/** In single quotes, in which nothing means anything but the quote itself. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The same, left as it is where no character of it means anything to a shell. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : quoted(text)
}
