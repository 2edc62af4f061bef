// Loopback networks for the stand-ins of labs beside other labs: the tour's, those of scenarios. One is reserved by listening on
// an address in it that no lab uses, so that processes that know nothing of each other do not meet.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { inputError } from '../errors/issue.ts'
import { errnoOf } from '../errors/thrown.ts'

export interface LoopbackNetwork {
  /** `127.200.0.0/16` */
  readonly network: string
  release(): void
}

/** Apart from the shipped lab's 127.0.0.0/16. */
const FIRST = 200
const COUNT = 50
const RESERVATION_PORT = 20_999

/** A network that nobody has reserved, for as long as this process lives or until it is released. Throws an InputError when all
 *  are taken. */
export async function reserveLoopbackNetwork(): Promise<LoopbackNetwork> {
  for (let tried = 0; tried < COUNT; tried++) {
    const octet = FIRST + ((process.pid + tried) % COUNT)
    const reservation = await reserve(`127.${octet}.255.254`)
    if (reservation !== undefined) return { network: `127.${octet}.0.0/16`, release: reservation }
  }
  const message = `all ${COUNT} loopback networks for parallel labs are in use`
  throw inputError('scenario.no_network', message, { hint: 'stop one of those labs' })
}

/** The way to give it back; undefined where somebody else has it. */
async function reserve(host: string): Promise<(() => void) | undefined> {
  const server = createServer().unref()
  try {
    server.listen({ host, port: RESERVATION_PORT, exclusive: true })
    await once(server, 'listening')
    return () => server.close()
  } catch (thrown) {
    if (errnoOf(thrown) === 'EADDRINUSE') return undefined
    // a system that has no such addresses says more about that when the lab starts
    return () => undefined
  }
}
