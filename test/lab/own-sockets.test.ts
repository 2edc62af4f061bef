// Nothing the lab listens on can be reached through the lab, except test origins by what policy knows them as. What listens is read from the
// system, for a whole lab in a process of its own: a socket somebody adds is tried as well.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { bannerOf } from '../support/banner.ts'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { ownNetwork, ownPort } from '../support/own-network.ts'
import { UdpClient } from '../support/udp.ts'

const folder = mkdtempSync(join(tmpdir(), 'own-sockets-'))
const LOGIN = ['bob@example.com', 'lab-bob'] as const
const isLinux = process.platform === 'linux'

let child: ChildProcess | undefined
afterEach(() => child?.kill('SIGKILL'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface OwnSocket {
  readonly transport: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
}

interface Started {
  readonly pid: number
  readonly proxy: number
  readonly api: string
  readonly token: string
}

/** The shipped lab with every port free, and Gateway DNS on both families. */
async function start(...args: readonly string[]): Promise<Started> {
  const config = join(folder, `lab-${args.length}.yaml`)
  const shipped = readFileSync('config/lab.yaml', 'utf8')
  const text = shipped
    .replace('port: 8080', 'port: 0')
    .replace('port: 8090', 'port: 0')
    .replace('"127.0.0.1:8053"', `"127.0.0.1:${ownPort(53)}", "[::1]:${ownPort(53)}"`)
  expect(text).toContain('[::1]:')
  writeFileSync(config, `${text}\nstand_ins: { network: ${ownNetwork(6)} }\n`)
  const state = mkdtempSync(join(folder, 'state-'))
  const all = ['scripts/egresslab.mjs', 'start', ...args, '--config', config, '--state', state]
  const started = spawn(process.execPath, all, { stdio: ['ignore', 'ignore', 'pipe'] })
  child = started
  const { proxy, api } = await bannerOf(started)
  return {
    pid: started.pid ?? expect.unreachable(),
    proxy,
    api: `http://127.0.0.1:${api}`,
    token: readFileSync(join(state, 'api-token'), 'utf8').trim(),
  }
}

/** Every listening TCP socket and every bound UDP socket of a process, from /proc. */
function socketsOf(pid: number): OwnSocket[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    }),
  )
  const found = (['tcp', 'tcp6', 'udp', 'udp6'] as const).flatMap((table): OwnSocket[] =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .flatMap((line) => {
        const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
        const transport = table.startsWith('tcp') ? 'tcp' : 'udp'
        if (!inodes.has(inode) || (transport === 'tcp' && state !== '0A')) return []
        const [hex = '', port = ''] = local.split(':')
        return [{ transport, address: addressOf(hex), port: Number.parseInt(port, 16) }]
      }),
  )
  return [...new Map(found.map((each) => [JSON.stringify(each), each])).values()]
}

/** The kernel prints addresses as 32-bit words in its own byte order. */
function addressOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].reverse())
  if (bytes.length === 4) return bytes.join('.')
  return new URL(`http://[${Buffer.from(bytes).toString('hex').match(/.{4}/g)?.join(':')}]/`).hostname.slice(1, -1)
}

function authorityOf({ address, port }: OwnSocket): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

const codeOf = ({ headers }: CurlAnswer) => /code="([^"]*)"/.exec(headers.get('proxy-status') ?? '')?.[1]

/** The code with which the proxy refuses this socket, by each way there is to it. */
async function refusalsOf(socket: OwnSocket, { proxy, api, token }: Started): Promise<(string | undefined)[]> {
  const authority = authorityOf(socket)
  const through = (scheme: string) => ['-x', `${scheme}://127.0.0.1:${proxy}`, '-U', LOGIN.join(':')]
  const forwarded = codeOf(await curl(...through('http'), `http://${authority}/`))
  const tunnelled = codeOf(await curl(...through('http'), '-p', `http://${authority}/`))
  const socks = (await curl(...through('socks5h'), `http://${authority}/`)).exit === 97 ? forwarded : 'let in by SOCKS5'
  if (socket.transport === 'tcp' || socket.address.includes(':')) return [forwarded, tunnelled, socks]
  const client = await UdpClient.associate(proxy, { login: LOGIN })
  client.send(socket.address, socket.port, 'anything')
  const refused = async () => {
    const answer = await fetch(`${api}/lab/v1/sessions/recent`, { headers: { authorization: `Bearer ${token}` } })
    const { result } = (await answer.json()) as { result: { Protocol: string; Lab: Record<string, never> }[] }
    return result.find(({ Protocol, Lab }) => Protocol === 'UDP' && Lab.target === authority)?.Lab.error
  }
  await expect.poll(refused).toBeDefined()
  client.control.socket.destroy()
  return [forwarded, tunnelled, socks, ((await refused()) as { code: string } | undefined)?.code]
}

test.skipIf(!isLinux).each([
  ['one thread', []],
  ['workers', ['--workers', '2']],
])('SS-04: no socket of a running lab can be reached through it: %s', async (_what, args) => {
  const lab = await start(...args)
  const sockets = socketsOf(lab.pid)
  // doors, API, Gateway DNS on two addresses and two transports, test origins on TCP and UDP
  expect(sockets.filter(({ address }) => address === '127.0.0.1').length).toBeGreaterThanOrEqual(4)
  expect(sockets.filter(({ address }) => address === '::1').length).toBeGreaterThanOrEqual(2)
  expect(sockets.filter(({ transport }) => transport === 'udp').length).toBeGreaterThanOrEqual(3)
  const reached: string[] = []
  for (const socket of sockets) {
    const codes = await refusalsOf(socket, lab)
    if (codes.some((code) => code !== 'guard.own_listener'))
      reached.push(`${socket.transport} ${authorityOf(socket)} ${codes}`)
  }
  expect(reached).toEqual([])
})
