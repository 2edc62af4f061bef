// What a browser makes of a PAC file, by an engine that is not ours: pac-resolver in a QuickJS of its own.

import { createPacResolver } from 'pac-resolver'
import { QuickJS } from 'quickjs-wasi'

/** Asks the file for these URLs, one after the other. Rejects where it is no PAC file. */
export async function evaluatePac(text: string, ...urls: readonly string[]): Promise<string[]> {
  const find = createPacResolver(await QuickJS.create(), text)
  const answers: string[] = []
  for (const url of urls) answers.push(await find(url))
  return answers
}
