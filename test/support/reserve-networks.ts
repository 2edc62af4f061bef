// Gives this run of the tests loopback networks that no other run on the machine has at the moment, so that two checkouts can be
// tested side by side: a run holds a block by listening on a port that stands for it.

import { once } from 'node:events'
import { createServer } from 'node:net'

/** Each block has 20 networks of 16 bits: ten for each of two test workers. */
const BLOCKS = 4
const FIRST_PORT = 20_990

/** vitest's global set-up; what it answers is called at the end of the run. */
export async function setup(): Promise<() => void> {
  for (let block = 0; block < BLOCKS; block++) {
    const server = createServer().unref()
    try {
      server.listen({ host: '127.0.0.1', port: FIRST_PORT + block, exclusive: true })
      await once(server, 'listening')
      process.env.EGRESSLAB_TEST_BLOCK = String(block)
      return () => server.close()
    } catch {
      // another run has it
    }
  }
  throw new Error(`${BLOCKS} other runs of the tests are under way on this machine; wait for one of them`)
}
