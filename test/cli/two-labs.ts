// Two labs for tests of the `rules` verb: one as people have it, and one that stands in for the account at Cloudflare, reached by its
// address and a token. Both are fresh for every test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { type Ran, run } from './run.ts'

export const TOKEN = 'a-token-of-the-other-account'

/** A lab with addresses and nothing else. */
export const EMPTY = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
  - { colo: IAD, ipv4: 203.0.113.30, ipv6: "2001:db8:30::/64" }
  - { colo: LAX, ipv4: 203.0.113.40, ipv6: "2001:db8:40::/64" }
  - { colo: EWR, ipv4: 203.0.113.50, ipv6: "2001:db8:50::/64" }
`

export interface TwoLabs {
  readonly lab: PrivateLab
  readonly other: PrivateLab
  /** base address of the other lab's API */
  readonly there: string
  /** a path in a folder of the test's own */
  readonly file: (name: string) => string
  /** `egresslab rules VERB` on the first lab */
  readonly rules: (verb: string, ...args: readonly string[]) => Promise<Ran>
  /** options that name the first lab */
  readonly where: () => readonly string[]
}

/** Starts and stops both around every test of the file. */
export function twoLabs(): TwoLabs {
  let folder = ''
  let open: { readonly lab: PrivateLab; readonly other: PrivateLab } | undefined
  const labs = () => open ?? expect.unreachable()
  const file = (name: string) => join(folder, name)
  const where = () => ['--api', `127.0.0.1:${labs().lab.lab.api.port}`, '--state', labs().lab.folder]
  const rules: TwoLabs['rules'] = (verb, ...args) => run(['rules', verb, ...where(), ...args])
  beforeAll(() => {
    process.env.CLOUDFLARE_API_TOKEN = TOKEN
  })
  afterAll(() => {
    delete process.env.CLOUDFLARE_API_TOKEN
  })
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'egresslab-rules-'))
    writeFileSync(file('empty.yaml'), EMPTY)
    const lab = await startPrivateLab({ ephemeral: false })
    const other = await startPrivateLab({
      configFile: file('empty.yaml'),
      apiToken: TOKEN,
      standInNetwork: ownNetwork(1),
    })
    open = { lab, other }
  })
  afterEach(async () => {
    await Promise.all([open?.lab.close(), open?.other.close()])
    open = undefined
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    file,
    where,
    rules,
    get lab() {
      return labs().lab
    },
    get other() {
      return labs().other
    },
    get there() {
      return `http://127.0.0.1:${labs().other.lab.api.port}/client/v4`
    },
  }
}

/** Rules that are there, by precedence. */
export function liveRules({ lab: { store } }: PrivateLab) {
  return [...store.current().state.rule.values()]
    .filter(({ deletedAt }) => deletedAt === null)
    .map(({ value }) => value)
    .sort((a, b) => a.precedence - b.precedence)
}
