// Packets on the loopback interface, seen with a real tcpdump (needs root): what really went over the wire, flags and bytes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'
import { installed } from './installed.ts'
import { PATIENCE_MS } from './patience.ts'

export interface Packet {
  /** `address.port`, as tcpdump writes it */
  readonly from: string
  readonly to: string
  /** such as `S`, `F.`, `R`, `P.` */
  readonly flags: string
  readonly length: number
}

export interface Capture {
  /** so far, in order */
  readonly packets: readonly Packet[]
  /** resolves with the first packet, past or future, that is wanted; rejects in the end with all there were */
  seen(wanted: (packet: Packet) => boolean): Promise<Packet>
}

const LINE = /^IP (\S+) > (\S+): Flags \[([^\]]+)\].* length (\d+)/

/** tcpdump's path, or undefined after a loud word: it is not here, or this user may not capture. */
export function packetCapture(): string | undefined {
  if (process.getuid?.() === 0) return installed('tcpdump', 'tcpdump')
  if (process.env.CI === 'true') throw new Error('packets can be captured by root only')
  process.stderr.write('SKIPPED: packets can be captured by root only\n')
  return undefined
}

/** Captures TCP packets of this port on either side until the test ends; resolves when it has begun. */
export async function capture(tcpdump: string, port: number): Promise<Capture> {
  const args = ['-i', 'lo', '-n', '-l', '-t', '--immediate-mode', 'tcp', 'and', 'port', String(port)]
  const child = spawn(tcpdump, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => {
    child.kill()
  })
  const packets: Packet[] = []
  let wake = () => {}
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [, from = '', to = '', flags = '', length = ''] = LINE.exec(line) ?? []
    if (from === '') return
    packets.push({ from, to, flags, length: Number(length) })
    wake()
  })
  let said = ''
  const signal = AbortSignal.timeout(PATIENCE_MS)
  while (!said.includes('listening on')) said += String(await once(child.stderr, 'data', { signal }))
  return {
    packets,
    async seen(wanted) {
      const deadline = AbortSignal.timeout(PATIENCE_MS)
      for (;;) {
        const found = packets.find(wanted)
        if (found !== undefined) return found
        await new Promise<void>((resolve, reject) => {
          wake = resolve
          deadline.addEventListener('abort', () => reject(new Error(`waited in vain; there were ${draw(packets)}`)))
        })
      }
    },
  }
}

function draw(packets: readonly Packet[]): string {
  return packets.map(({ from, to, flags, length }) => `${from} > ${to} [${flags}] ${length}`).join(', ') || 'no packets'
}
