// Gives this run of the tests loopback networks that no other run on the machine has at the moment, so that several checkouts can
// be tested side by side: a run holds a block by listening on a port that stands for it, and waits while all are held.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Each block has 20 networks of 16 bits: ten for each of two test workers. */
const BLOCKS = 4
const FIRST_PORT = 20_990
const WAIT_MS = 1_800_000
const LOOK_AGAIN_MS = 1_000

/** vitest's global set-up; what it answers is called at the end of the run. */
export async function setup(): Promise<() => void> {
  const end = Date.now() + WAIT_MS
  for (let told = false; ; told = true) {
    const release = await reserve()
    if (release !== undefined) return release
    if (Date.now() > end) {
      throw new Error(`${BLOCKS} other runs of the tests hold every network for ${WAIT_MS / 60_000} minutes; end one`)
    }
    if (!told) process.stderr.write(`${BLOCKS} other runs of the tests are under way; this one waits for one of them\n`)
    await delay(LOOK_AGAIN_MS)
  }
}

/** The way to give the block back; undefined while other runs have them all. */
async function reserve(): Promise<(() => void) | undefined> {
  for (let block = 0; block < BLOCKS; block++) {
    const server = createServer().unref()
    try {
      server.listen({ host: '127.0.0.1', port: FIRST_PORT + block, exclusive: true })
      await once(server, 'listening')
      process.env.EGRESSLAB_TEST_BLOCK = String(block)
      return () => server.close()
    } catch (thrown) {
      if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EADDRINUSE')) throw thrown
    }
  }
  return undefined
}
