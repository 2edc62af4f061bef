// What the soak asks the lab's API beside its changes: is it there, and what its gauges say.

import { once } from 'node:events'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import type { SoakedLab } from './lab-process.ts'

export interface Gauges {
  readonly sessionsOpen: number
  readonly portsInUse: number
  readonly udpAssociations: number
}

/** Rejects unless the API answers within ten seconds. */
export async function askHealth(lab: SoakedLab): Promise<void> {
  const { status } = await ask(lab, '/lab/v1/health')
  if (status !== 200 && status !== 503) throw new Error(`the API answered ${status}`)
}

/** From the metrics. */
export async function gaugesOf(lab: SoakedLab): Promise<Gauges> {
  const { body } = await ask(lab, '/metrics')
  const sum = (name: string) =>
    [...body.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    )
  return {
    sessionsOpen: sum('egresslab_sessions_open'),
    portsInUse: sum('egresslab_ports_in_use'),
    udpAssociations: sum('egresslab_udp_associations'),
  }
}

/** On a connection of its own, which is gone afterwards. */
async function ask({ apiPort: port, token }: SoakedLab, path: string) {
  const headers = { authorization: `Bearer ${token}`, connection: 'close' }
  const signal = AbortSignal.timeout(10_000)
  const request = sendRequest({ host: '127.0.0.1', port, path, headers, signal, agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await text(response) }
}
