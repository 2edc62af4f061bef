// The verbs that talk to a running lab, against a real one: what they change is what the next connection meets.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { askDns } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { type Ran, run } from './run.ts'

const AMER = '7ec4e08c-f2e6-5cc8-a3b8-6ae00ebdf21c'

let running: PrivateLab
let where: readonly string[]
beforeAll(async () => {
  running = await startPrivateLab({ ephemeral: false })
  where = ['--api', `127.0.0.1:${running.lab.api.port}`, '--state', running.folder]
})
afterAll(() => running.close())

const lab = (verb: string, action: string, ...rest: readonly string[]): Promise<Ran> =>
  run([verb, action, ...where, ...rest])

/** The address the echo origin sees. */
async function seenFrom(credentials: string): Promise<string> {
  return (await curl('-x', running.proxy, '-U', credentials, 'http://ipv4.icanhazip.com/')).body.trim()
}

describe('explain', () => {
  const explain = (destination: string) =>
    run(['explain', '--user', 'alice@example.com', ...where, '--json', destination])

  test('takes a placeholder for what the running lab gave it out for', async () => {
    const [dns] = running.lab.dns
    if (dns === undefined) throw new RangeError('the shipped lab has Gateway DNS')
    const [placeholder = ''] = (await askDns(dns, 'payroll.saas.test')).data
    const { code, stdout, stderr } = await explain(`http://${placeholder}/`)
    expect([code, stderr]).toEqual([
      0,
      `on the running lab ${placeholder} stands for payroll.saas.test at 198.51.100.21\n`,
    ])
    expect(JSON.parse(stdout)).toMatchObject({
      flow: { 'net.fqdn.host': 'payroll.saas.test', 'net.dst.ip': '198.51.100.21', 'net.dst.port': 80 },
    })
  })

  test('SS-04: tells of a question to Gateway DNS that it does not go through the proxy', async () => {
    const { code, stdout, stderr } = await run(['explain', '--protocol', 'udp', '--json', '127.0.0.1:8053'])
    expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('is a listener of the lab itself')])
  })

  test('says so where it stands for nothing, and where no lab is running', async () => {
    const { code, stdout } = await explain('100.80.7.7:443')
    expect(code).toBe(1)
    expect(JSON.parse(stdout).error).toEqual({
      code: 'name.unknown_placeholder',
      message:
        '`100.80.7.7` is in the placeholder range of Gateway DNS, and the running lab has not given it to any name; use the host name instead',
    })
    const alone = await run(['explain', '--api', '127.0.0.1:9', '--state', running.folder, '100.80.7.7:443'])
    expect(alone.stdout).toContain('no lab is running that could resolve it')
  })
})

describe('vnet', () => {
  test('use attaches a user: the next connection leaves from the other network', async () => {
    expect(await seenFrom('bob@example.com:lab-bob')).toBe('203.0.113.10')
    expect(await lab('vnet', 'use', 'vnet-AMER', '--user', 'bob@example.com')).toEqual({
      code: 0,
      stdout: `new connections of bob@example.com use vnet-AMER (${AMER})\n`,
      stderr: '',
    })
    expect(await seenFrom('bob@example.com:lab-bob')).toBe('203.0.113.40')
    const { stdout } = await lab('vnet', 'list', '--json')
    expect(JSON.parse(stdout)).toContainEqual({
      id: AMER,
      name: 'vnet-AMER',
      comment: expect.any(String),
      isDefault: false,
      chosenBy: ['bob@example.com'],
    })
    const back = await lab('vnet', 'use', 'default', '--user', 'bob@example.com', '--json')
    expect(JSON.parse(back.stdout)).toMatchObject({
      user: 'bob@example.com',
      virtual_network: { name: 'default' },
    })
    expect(await seenFrom('bob@example.com:lab-bob')).toBe('203.0.113.10')
  })

  test('use by id, whatever the letter case', async () => {
    const { code, stdout } = await lab('vnet', 'use', AMER.toUpperCase(), '--user', 'carol@example.com')
    expect({ code, stdout: stdout.split(' (')[0] }).toEqual({
      code: 0,
      stdout: 'new connections of carol@example.com use vnet-AMER',
    })
  })

  test('use of what is not there says what there is, and exits 2', async () => {
    const network = await lab('vnet', 'use', 'vnet-APAC', '--user', 'bob@example.com')
    expect({ code: network.code, stdout: network.stdout }).toEqual({ code: 2, stdout: '' })
    expect(network.stderr).toContain(
      'unknown virtual network `vnet-APAC`; known are `default`, `vnet-AMER`, `vnet-EMEA`',
    )
    const user = await lab('vnet', 'use', 'vnet-AMER', '--user', 'mallory@example.com')
    expect(user.stderr).toContain('unknown user `mallory@example.com`')
    expect((await lab('vnet', 'use', 'vnet-AMER')).code).toBe(2)
  })
})

describe('colo', () => {
  test('down takes a data center out, list shows it, up brings it back', async () => {
    expect(await seenFrom('alice@example.com;vnet=vnet-AMER:lab-alice')).toBe('203.0.113.40')
    expect(await lab('colo', 'down', 'lax')).toEqual({ code: 0, stdout: 'LAX (Los Angeles) is down\n', stderr: '' })
    expect(await seenFrom('alice@example.com;vnet=vnet-AMER:lab-alice')).toBe('203.0.113.50')
    expect((await lab('colo', 'list')).stdout).toMatch(
      /^LAX +down +Los Angeles, US +203\.0\.113\.40 2001:db8:40::\/64$/m,
    )
    const up = await lab('colo', 'up', 'LAX', '--json')
    expect(JSON.parse(up.stdout)).toEqual({
      code: 'LAX',
      city: 'Los Angeles',
      country: 'US',
      up: true,
      dedicated: [{ ipv4: '203.0.113.40', ipv6: '2001:db8:40::/64' }],
    })
    expect(await seenFrom('alice@example.com;vnet=vnet-AMER:lab-alice')).toBe('203.0.113.40')
  })

  test('a code nobody knows is refused', async () => {
    const { code, stderr } = await lab('colo', 'down', 'L/X')
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'error: unknown data center `L/X`; did you mean `LAX`? [lab.404]\n\n1 error\n',
    })
  })
})

describe('clock', () => {
  test('set, advance and reset move the lab’s time', async () => {
    expect((await lab('clock', 'set', '2031-01-01T00:00:00Z')).stdout).toMatch(
      /^2031-01-01T00:00:\d\d\.\d{3}Z {2}\d+ d.* ahead of the machine\n$/,
    )
    expect(new Date(running.lab.store.now()).getUTCFullYear()).toBe(2031)
    expect((await lab('clock', 'advance', '6w')).stdout).toMatch(/^2031-02-12T/)
    expect((await lab('clock', 'advance', '--', '-42d')).stdout).toMatch(/^2031-01-01T/)
    const { stdout } = await lab('clock', 'reset', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ offset_seconds: 0 })
    expect((await lab('clock', 'show')).stdout).toMatch(/ {2}the machine's time\n$/)
  })

  test('nonsense changes nothing', async () => {
    expect((await lab('clock', 'set', 'tomorrow')).stderr).toContain('`tomorrow` is not a time in RFC 3339')
    expect((await lab('clock', 'advance', 'a while')).stderr).toContain('invalid duration `a while`')
    expect((await lab('clock', 'advance', '6000w')).code).toBe(2)
    expect((await lab('clock', 'show')).stdout).toContain("the machine's time")
  })
})

describe('sessions tail', () => {
  const records = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))

  test('prints sessions as they finish, as NDJSON, until enough were seen', async () => {
    const tail = lab('sessions', 'tail', '--json', '--limit', '2', '--user', 'DAVE@example.com')
    // the stream is open once the lab has one listener more: sessions made from then on are all seen
    let finished = false
    void tail.finally(() => {
      finished = true
    })
    while (!finished) {
      await seenFrom('dave@example.com:lab-dave')
      await seenFrom('alice@example.com:lab-alice')
    }
    const { code, stdout, stderr } = await tail
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(records(stdout).map(({ Email, EgressIP }) => [Email, EgressIP !== ''])).toEqual([
      ['dave@example.com', true],
      ['dave@example.com', true],
    ])
  })

  test('begins with those that finished before, and draws lines as the lab does', async () => {
    await seenFrom('alice@example.com:lab-alice')
    const { stdout } = await lab('sessions', 'tail', '--recent', '1000', '--limit', '1', '--user', 'alice@example.com')
    expect(stdout).toMatch(
      /^\d\d:\d\d:\d\d {2}alice@example\.com .* ipv4\.icanhazip\.com:80 .* 203\.0\.113\.\d\d +via \w{3} .*\n$/,
    )
  })

  test.each([
    ['--vnet', 'vnet-EMEA', ({ Lab }) => Lab.virtualNetworkName],
    ['--rule', 'finance TO the bank', ({ EgressRuleName }) => EgressRuleName.toLowerCase()],
    ['--egress-ip', '203.0.113.20/31', ({ EgressIP }) => EgressIP],
    ['--outcome', 'dedicated', ({ Lab }) => Lab.outcome],
    ['--outcome', 'failed', ({ Lab }) => (Lab.error === undefined ? 'good' : 'failed')],
    ['--text', 'BANK.saas', ({ Lab }) => Lab.target],
    // biome-ignore lint/suspicious/noExplicitAny: records are read from outside
  ] as readonly [string, string, (record: any) => string][])('%s %s shows those alone', async (option, value, seen) => {
    await seenFrom('bob@example.com;vnet=vnet-EMEA:lab-bob')
    await curl('-x', running.proxy, '-U', 'alice@example.com:lab-alice', 'http://bank.saas.test/')
    await curl('-x', running.proxy, '-U', 'alice@example.com:lab-alice', 'http://nowhere.invalid/')
    const args = ['--json', '--recent', '1000', '--limit', '1', option, value]
    const { code, stdout } = await lab('sessions', 'tail', ...args)
    const expected: Readonly<Record<string, string>> = {
      '203.0.113.20/31': '203.0.113.20',
      'finance TO the bank': 'finance to the bank',
      'BANK.saas': 'bank.saas.test:80',
    }
    expect({ code, seen: records(stdout).map(seen) }).toEqual({ code: 0, seen: [expected[value] ?? value] })
  })

  test('a wrong filter is a usage error', async () => {
    expect((await lab('sessions', 'tail', '--outcome', 'great')).stderr).toContain('Allowed choices are dedicated')
    expect((await lab('sessions', 'tail', '--egress-ip', 'here')).stderr).toContain('expected an address or a network')
    expect((await lab('sessions', 'tail', '--limit', '0')).code).toBe(2)
  })

  test('Ctrl-C ends it with 130, a reader that goes away with 0, the end of the lab with a word', async () => {
    await seenFrom('dave@example.com:lab-dave')
    const start = (there = where) => {
      const child = spawn(process.execPath, ['src/main.ts', 'sessions', 'tail', '--json', '--recent', '5', ...there])
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
    }
    const interrupted = start()
    await interrupted.lines.next()
    interrupted.child.kill('SIGINT')
    expect(await once(interrupted.child, 'exit')).toEqual([130, null])

    const unread = start()
    await unread.lines.next()
    unread.child.stdout.destroy()
    const gone = once(unread.child, 'exit')
    let code: unknown
    void gone.then(([exit]) => {
      code = exit
    })
    while (code === undefined) await seenFrom('dave@example.com:lab-dave')
    expect(code).toBe(0)

    const other = await startPrivateLab({ ephemeral: false, standInNetwork: ownNetwork(1) })
    await curl('-x', other.proxy, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
    const left = start(['--api', `127.0.0.1:${other.lab.api.port}`, '--state', other.folder])
    let said = ''
    left.child.stderr.on('data', (text: Buffer) => {
      said += text
    })
    await left.lines.next()
    const exit = once(left.child, 'exit')
    await other.close()
    expect(await exit).toEqual([0, null])
    expect(said).toContain('ended the stream')
  })
})

describe('what cannot work says what to do:', () => {
  test('no lab at all', async () => {
    const { code, stdout, stderr } = await run(['colo', 'down', 'LHR', '--api', '127.0.0.1:1'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('no lab is running at http://127.0.0.1:1 [lab.not_running]')
    expect(stderr).toContain('hint: start one with `npm start`')
  })

  test('lists tell what the next start finds, and say so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-'))
    const config = join(folder, 'lab.yaml')
    writeFileSync(config, 'dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\napi: { port: 1 }\n')
    const colos = await run(['colo', 'list', '-c', config, '--state', folder, '--json'])
    expect(colos).toMatchObject({ code: 0, stderr: 'no lab is running; showing what the next start will use\n' })
    expect(JSON.parse(colos.stdout)).toMatchObject([{ code: 'AMS', up: true }])
    const networks = await run(['vnet', 'list', '-c', config, '--state', folder, '--json'])
    expect(JSON.parse(networks.stdout)).toMatchObject([{ name: 'default', isDefault: true, chosenBy: [] }])
    rmSync(folder, { recursive: true })
  })

  test('no token', async () => {
    const { code, stderr } = await run(['vnet', 'list', ...where.slice(0, 2), '--state', '/nonexistent'])
    expect(code).toBe(2)
    expect(stderr).toContain(
      'EGRESSLAB_API_TOKEN is not set and `/nonexistent/api-token` does not exist [lab.no_token]',
    )
  })

  test('a wrong token', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-'))
    writeFileSync(join(folder, 'api-token'), 'another-token-altogether\n')
    const { code, stderr } = await run(['clock', 'show', ...where.slice(0, 2), '--state', folder])
    expect(code).toBe(2)
    expect(stderr).toContain('rejects this token [lab.token_refused]')
    expect(stderr).toContain(`\`${folder}\` may not be its state folder`)
    expect(stderr).not.toContain('another-token')
    rmSync(folder, { recursive: true })
  })

  test('a wrong token in the environment is not blamed on the state folder', async () => {
    vi.stubEnv('EGRESSLAB_API_TOKEN', 'another-token-altogether')
    const { code, stderr } = await lab('clock', 'show')
    vi.unstubAllEnvs()
    expect(code).toBe(2)
    expect(stderr).toContain('hint: EGRESSLAB_API_TOKEN belongs to another lab')
    expect(stderr).not.toContain('another-token')
  })

  test('something else on that port', async () => {
    const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, stderr } = await run(['clock', 'show', '--api', `127.0.0.1:${port}`, '--state', running.folder])
    expect(code).toBe(2)
    expect(stderr).toContain('(something else answered) [lab.not_a_lab]')
    server.close()
  })

  test('an address that is none', async () => {
    expect((await run(['clock', 'show', '--api', 'nowhere'])).stderr).toContain('invalid API address `nowhere`')
  })
})
