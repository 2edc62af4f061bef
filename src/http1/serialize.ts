// Messages of HTTP/1.1 as text (Latin-1). Only for parts that were checked before: names are tokens, values hold no CR or LF.

/** Start line and fields with the empty line behind them. */
export function formatHead(startLine: string, fields: readonly string[]): string {
  let text = `${startLine}\r\n`
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  return `${text}\r\n`
}

/** Behind the last chunk: its size, trailers, the empty line. */
export function formatLastChunk(trailers: readonly string[]): string {
  if (trailers.length === 0) return '0\r\n\r\n'
  return formatHead('0', trailers)
}
