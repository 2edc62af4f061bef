// Where a lab in a process of its own listens, read from the banner it writes to standard error.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { PATIENCE_MS } from './patience.ts'

export interface Banner {
  /** port of the first listener on 127.0.0.1 */
  readonly proxy: number
  /** port of the API on 127.0.0.1 */
  readonly api: number
  /** everything it has written to standard error so far */
  said(): string
}

/** Waits for the banner of a lab that was started with a pipe for standard error. `last`: text of the banner's last line, which
 *  depends on the configuration. Rejects, with what the lab wrote, when it ends without a banner. */
export async function bannerOf(lab: ChildProcess, last = 'explains why.'): Promise<Banner> {
  const { stderr } = lab
  if (stderr === null) throw new Error('the lab was started without a pipe for standard error')
  let said = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  let isOver = false
  const over = new Promise<void>((resolve) => {
    lab.once('close', () => {
      isOver = true
      resolve()
    })
  })
  const signal = AbortSignal.timeout(PATIENCE_MS)
  while (!said.includes(last)) {
    if (isOver) throw new Error(`the lab ended before it listened:\n${said}`)
    await Promise.race([once(stderr, 'data', { signal }), over])
  }
  const portAt = (line: RegExp) => Number(line.exec(said)?.[1])
  return {
    proxy: portAt(/proxy +127\.0\.0\.1:(\d+)/),
    api: portAt(/API +http:\/\/127\.0\.0\.1:(\d+)/),
    said: () => said,
  }
}
