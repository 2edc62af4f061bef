// Our own proxy for the comparison: 1,000 rules in force, identity on, the session log on.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createSyntheticWorld } from '../../src/load-test/synthetic-world.ts'
import { type RivalProxy, runProxy } from './rivals.ts'

const RULES = 1000
export const BENCH_USER = { username: 'bench@example.com', password: 'bench' }

const COLLECT = join(import.meta.dirname, 'collect-on-signal.ts')

const ALL_MODES: RivalProxy['modes'] = ['connect', 'socks5', 'http', 'relay', 'udp']

export const OURS = ours('egresslab', ALL_MODES, { credentials: BENCH_USER })

/** On plain sockets, as on other systems and older versions of Node. */
export const OURS_ON_NODE = ours('egresslab, engine node', ALL_MODES, { credentials: BENCH_USER, engine: 'node' })

/** Knows its user by the door instead of a password: what rivals are to be compared with that ask for none. */
export const OURS_BY_DOOR = ours('egresslab, user by the door', ['socks5'], {})

/** What a second core costs. */
export const OURS_ON_TWO = oursOn(2)

/** With so many workers. */
export function oursOn(workers: number): RivalProxy {
  return ours(`egresslab, ${workers} workers`, ['connect', 'http'], { credentials: BENCH_USER, workers })
}

function ours(
  name: string,
  modes: RivalProxy['modes'],
  {
    credentials,
    workers = 1,
    engine = 'auto',
  }: {
    readonly credentials?: RivalProxy['credentials']
    readonly workers?: number
    readonly engine?: 'auto' | 'node'
  },
): RivalProxy {
  return {
    name,
    modes,
    credentials,
    tidy,
    start: ({ port, source, folder }) => {
      mkdirSync(folder, { recursive: true })
      const config = join(folder, 'lab.yaml')
      writeFileSync(
        config,
        JSON.stringify({ ...configuration(port, source, credentials !== undefined), workers, engine }, null, 1),
      )
      const main = join(import.meta.dirname, '../../src/main.ts')
      const args = ['--import', COLLECT, main, 'start', '-c', config, '--state', join(folder, 'state')]
      return runProxy(process.execPath, args, port, 'egresslab runs')
    },
  }
}

async function tidy(pid: number): Promise<void> {
  for (let time = 0; time < 2; time++) {
    process.kill(pid, 'SIGUSR2')
    // V8 keeps freed pages for eight seconds
    await setTimeout(9000)
  }
}

/** JSON is YAML, so the configuration is written as data. */
function configuration(port: number, standIn: string, asksForPassword: boolean) {
  const { rules, lists } = createSyntheticWorld(RULES)
  const types = { prefix: 'IP', email: 'EMAIL', domain: 'DOMAIN' } as const
  return {
    dedicated_ips: [
      { colo: 'AMS', ipv4: '203.0.113.10', ipv6: '2001:db8:10::/64', stand_ins: { ipv4: [standIn] } },
      { colo: 'LHR', ipv4: '203.0.113.20' },
    ],
    lists: lists.map(({ id, of, items }) => ({ id, name: `${of} ${id}`, type: types[of], items })),
    rules: rules.map(({ expressions }, at) => ({
      name: `rule ${at}`,
      precedence: at,
      ...(expressions.traffic === '' ? {} : { traffic: expressions.traffic }),
      ...(expressions.identity === '' ? {} : { identity: expressions.identity }),
      egress: { ipv4: '203.0.113.10', ipv4_fallback: '203.0.113.20', ipv6: '2001:db8:10::/64' },
    })),
    users: [{ email: BENCH_USER.username, password: BENCH_USER.password, place: 'AMS' }],
    listeners: [
      { name: 'main', port, ...(asksForPassword ? { authentication: 'required' } : { user: BENCH_USER.username }) },
    ],
    destinations: [],
    api: { port: port + 1 },
  }
}
