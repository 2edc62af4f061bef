// A proxy that runs and is measured.

import type { ProxyUnderTest } from '../../src/load-test/proxy/operation.ts'
import { ip } from '../../src/net/ip.ts'
import type { RivalProxy, RunningProxy } from './rivals.ts'

/** Ports from one to the next of the same rival. */
const ANOTHER = 5

export interface Contestant {
  readonly rival: RivalProxy
  readonly port: number
  readonly proxy: RunningProxy
  /** Another one of it, fresh, at another port; this one goes on. */
  another(): Promise<Contestant>
}

/** Starts a rival. `source`: the address it connects from. */
export async function startContestant(
  rival: RivalProxy,
  options: { readonly port: number; readonly source: string; readonly folder: string },
): Promise<Contestant> {
  const again = { ...options, port: options.port + ANOTHER, folder: `${options.folder}-another` }
  return {
    rival,
    port: options.port,
    proxy: await rival.start(options),
    another: () => startContestant(rival, again),
  }
}

/** Load through it, logged in where it asks. */
export function subjectOf({ rival, port }: Contestant, originPort: number): ProxyUnderTest {
  return {
    proxy: { ip: ip('127.0.0.1'), port },
    origin: { ip: ip('127.0.0.1'), port: originPort },
    ...(rival.credentials === undefined ? {} : { credentials: rival.credentials }),
  }
}
