// The configuration that is soaked: the shipped one, with a listener that asks for no password (SOCKS4a has none), the soak's own
// origins as a destination, and times short enough that each of them runs out many times.

import { readFileSync, writeFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'
import type { EngineChoice } from '../../src/transport/choose-engine.ts'

/** Where the soak's own origins are, as clients ask for them. */
export const FAULTS = 'faults.soak.test'

/** Public ports of {@link FAULTS}. */
export const FAULT_PORTS = { web: 80, resetsAtOnce: 81, refuses: 82, neverAnswers: 83 } as const

/** Whom the listener without passwords takes everybody for. */
export const OPEN_USER = 'dave@example.com'

export interface OriginPlace {
  readonly host: string
  /** by public port */
  readonly ports: Readonly<Record<number, number>>
}

/** Writes it to `file`. */
export function writeSoakedConfig(file: string, { host, ports }: OriginPlace): void {
  const shipped = parse(readFileSync('config/lab.yaml', 'utf8'))
  const soaked = {
    ...shipped,
    listeners: [...shipped.listeners, { name: 'open', host: '127.0.0.1', port: 8081, user: OPEN_USER }],
    destinations: [
      ...shipped.destinations,
      { name: FAULTS, addresses: [{ public: '198.51.100.99', stand_in: host, ports }], place: 'IAD' },
    ],
    timeouts: { ...shipped.timeouts, connect: '4s', handshake: '4s', keep_alive: '10s' },
    log: { max_size: '1GiB', keep: 5 },
  }
  writeFileSync(file, stringify(soaked))
}

/** Throws for anything that is no engine. */
export function readEngineChoice(text: string): EngineChoice {
  if (text === 'auto' || text === 'linux' || text === 'node') return text
  throw new Error(`\`--engine\` is \`auto\`, \`linux\` or \`node\`, not \`${text}\``)
}
