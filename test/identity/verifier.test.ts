// What is remembered of credentials, what a wrong one costs, and who else has to wait for it.

import { describe, expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'
import {
  decoyHash,
  formatPasswordHash,
  hashPassword,
  parsePasswordHash,
  verifyPassword,
} from '../../src/identity/password.ts'
import { createBackOff } from '../../src/identity/password-verifier.ts'
import type { ClientContext } from '../../src/proxy/stage-values.ts'
import { CONFIG, clientAs, contextOf, IMPATIENT, identifier, refusal, SNAPSHOT } from './world.ts'

/** A back-off on a clock that stands still, and the waits asked for. */
function watchedPatience() {
  const waits: number[] = []
  let now = 0
  const patience = {
    backOff: createBackOff(() => now),
    wait: async (ms: number) => {
      waits.push(ms)
    },
  }
  return { patience, waits, advance: (ms: number) => (now += ms) }
}

describe('remembering', () => {
  test('credentials that were right once are answered at once', async () => {
    const door = identifier()
    expect(door.identify(clientAs('alice@example.com'), SNAPSHOT)).toBeInstanceOf(Promise)
    await contextOf(door, clientAs('alice@example.com'))
    const again = door.identify(clientAs('ALICE@example.com;family=6'), SNAPSHOT)
    expect(again).not.toBeInstanceOf(Promise)
    expect((again as ClientContext).identity?.email).toBe('alice@example.com')
  })

  test('a hundred connections with the same new credentials are one check', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    await Promise.all(Array.from({ length: 100 }, () => contextOf(door, clientAs('alice@example.com'))))
    expect(waits).toHaveLength(1)
  })

  test('new people make the old credentials worthless at once, and the new ones good', async () => {
    const door = identifier()
    await contextOf(door, clientAs('alice@example.com'))
    const { config } = checkConfigText(
      'world.yaml',
      'dedicated_ips: []\nusers: [{ email: alice@example.com, password: other }]\n',
    )
    door.replacePeople(config ?? CONFIG)
    expect(await refusal(door, clientAs('alice@example.com'))).toMatch(/^identity.rejected/)
    expect((await contextOf(door, clientAs('alice@example.com', 'other'))).identity?.email).toBe('alice@example.com')
  })

  test('people who stay the very same stay known', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    await contextOf(door, clientAs('alice@example.com'))
    door.replacePeople({ ...CONFIG })
    await contextOf(door, clientAs('alice@example.com'))
    expect(waits).toHaveLength(1)
    door.replacePeople({ ...CONFIG, users: [...CONFIG.users] })
    await contextOf(door, clientAs('alice@example.com'))
    expect(waits).toHaveLength(2)
  })

  test('a check that began before people were replaced is not remembered after', async () => {
    const door = identifier()
    const early = contextOf(door, clientAs('alice@example.com'))
    door.replacePeople({ users: [], groups: [], identityProviders: [], devices: [], sources: [] })
    expect((await early).identity?.email).toBe('alice@example.com')
    expect(await refusal(door, clientAs('alice@example.com'))).toMatch(/^identity.rejected/)
  })

  test('a hash in the configuration is as good as a password', async () => {
    const hash = formatPasswordHash(await hashPassword('s3cret'))
    const { config, issues } = checkConfigText(
      'world.yaml',
      `dedicated_ips: []\nusers: [{ email: eve@example.com, password_hash: "${hash}" }]\n`,
    )
    expect(issues).toEqual([])
    const door = identifier({ people: config ?? CONFIG, patience: IMPATIENT })
    expect((await contextOf(door, clientAs('eve@example.com', 's3cret'))).identity?.email).toBe('eve@example.com')
    expect(await refusal(door, clientAs('eve@example.com', hash))).toMatch(/^identity.rejected/)
  })
})

describe('AU-02: wrong credentials wait ever longer', () => {
  test('three are free, then waits double up to three seconds', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 12; at++) await refusal(door, clientAs('alice@example.com', `guess ${at}`))
    expect(waits).toEqual([0, 0, 0, 100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000])
  })

  test('guessing at a name nobody has is slowed down alike', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 5; at++) await refusal(door, clientAs('nobody@example.com', `guess ${at}`))
    expect(waits).toEqual([0, 0, 0, 100, 200])
  })

  test('the same wrong credentials again and again are slowed down alike', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 5; at++) await refusal(door, clientAs('alice@example.com', 'wrong'))
    expect(waits).toEqual([0, 0, 0, 100, 200])
  })

  test('nobody is locked out: the right password is let in after the wait, and clears the account', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 6; at++) await refusal(door, clientAs('alice@example.com', `guess ${at}`))
    expect((await contextOf(door, clientAs('alice@example.com'))).identity?.email).toBe('alice@example.com')
    await refusal(door, clientAs('alice@example.com', 'one more slip'))
    expect(waits.slice(-2)).toEqual([800, 0])
  })

  test('others at the same address, and the same name from elsewhere, do not wait', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 8; at++) await refusal(door, clientAs('alice@example.com', `guess ${at}`))
    waits.length = 0
    await contextOf(door, clientAs('bob@example.com', 'a:b:c'))
    await contextOf(door, clientAs('alice@example.com', 'lab-alice', { peerIp: '127.0.0.2' }))
    expect(waits).toEqual([0, 0])
  })

  test('one source trying many names is slowed down, a quarter of a second at most', async () => {
    const { patience, waits } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 26; at++) await refusal(door, clientAs(`user${at}@example.com`, 'x'))
    expect(waits.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 0))
    expect(waits.slice(20)).toEqual([25, 50, 100, 200, 250, 250])
  })

  test('after five quiet minutes all is forgotten', async () => {
    const { patience, waits, advance } = watchedPatience()
    const door = identifier({ patience })
    for (let at = 0; at < 6; at++) await refusal(door, clientAs('alice@example.com', `guess ${at}`))
    advance(5 * 60_000 + 1)
    await refusal(door, clientAs('alice@example.com', 'another guess'))
    expect(waits.at(-1)).toBe(0)
  })

  test('guesses under one name cannot run side by side', async () => {
    let atOnce = 0
    let most = 0
    const patience = {
      ...IMPATIENT,
      wait: async () => {
        most = Math.max(most, ++atOnce)
        await Promise.resolve()
        atOnce--
      },
    }
    const door = identifier({ patience })
    const guesses = Array.from({ length: 40 }, (_, at) => refusal(door, clientAs('alice@example.com', `guess ${at}`)))
    const answers = new Set(await Promise.all(guesses))
    expect(most).toBe(1)
    expect(answers).toEqual(new Set(['identity.rejected: the user name or the password is wrong']))
  })
})

describe('password hashes', () => {
  test('survive being written down', async () => {
    const hash = await hashPassword('päss')
    const text = formatPasswordHash(hash)
    expect(text).toMatch(/^scrypt\$4096\$8\$1\$[^$]+\$[^$]+$/)
    expect(await verifyPassword('päss', parsePasswordHash(text))).toBe(true)
    expect(await verifyPassword('pass', parsePasswordHash(text))).toBe(false)
  })

  test('of one password differ by their salt', async () => {
    expect((await hashPassword('x')).hash).not.toEqual((await hashPassword('x')).hash)
  })

  test('AU-01: a decoy costs what the hash it copies costs, and no password fits it', async () => {
    const costly = { ...(await hashPassword('x')), cost: { N: 8192, r: 8, p: 2 } }
    const decoy = decoyHash(costly)
    expect(decoy.cost).toEqual(costly.cost)
    expect(decoy.hash).toHaveLength(costly.hash.length)
    expect(await verifyPassword('x', decoy)).toBe(false)
  })
})
