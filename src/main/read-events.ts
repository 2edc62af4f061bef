// An event stream (SSE, WHATWG HTML section 9.2) as values. Events carry JSON; comments and anything else are skipped.

import type { LabEvent } from '../cli/lab-client.ts'

/** The events until the stream ends, breaks off, or `signal` fires. */
export async function* readEvents(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<LabEvent> {
  let text = ''
  const decoder = new TextDecoder()
  try {
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) yield* eventOf(block)
    }
  } catch (thrown) {
    // a stream that breaks off has ended
    const isCut = thrown instanceof Error && 'code' in thrown
    if (!signal.aborted && !isCut) throw thrown
  }
}

function* eventOf(block: string): Generator<LabEvent> {
  const lines = block.split('\n')
  const fieldOf = (field: string) =>
    lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2))
  const data = fieldOf('data')
  if (data.length > 0) yield { event: fieldOf('event')[0] ?? 'message', data: JSON.parse(data.join('\n')) }
}
