// `run` from outside, as a person uses it: programs of all kinds, with and without `--capture`, through a lab that runs and through
// one of its own.

import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  appendFileSync,
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { announceReady } from '../../src/cli/ready-file.ts'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { installed } from '../support/installed.ts'
import { loopback, ownPort } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const BOB = ['--user', 'bob@example.com']
/** where bob's connections leave from when no rule matches */
const AMSTERDAM = '203.0.113.10'

let given: PrivateLab
let running: readonly string[]
beforeAll(async () => {
  given = await startPrivateLab({ ephemeral: false })
  const file = join(given.folder, 'ready.json')
  announceReady(file).write(given.lab)
  running = ['--ready-file', file]
})
afterAll(() => given.close())

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function start(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return spawn(process.execPath, ['src/main.ts', 'run', ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options })
}

async function ended(child: ChildProcess): Promise<Ran> {
  const { stdout, stderr } = child
  const [out, err, [code]] = await Promise.all([
    stdout === null ? '' : text(stdout),
    stderr === null ? '' : text(stderr),
    once(child, 'exit'),
  ])
  return { code, stdout: out, stderr: err }
}

const run = (...args: readonly string[]) => ended(start(args))
const shell = (script: string, ...options: readonly string[]) =>
  run(...running, ...BOB, ...options, '--', 'sh', '-c', script)

/** The sessions shown in the end, cell by cell. */
function table({ stderr }: Ran): string[][] {
  const lines = stderr.trimEnd().split('\n')
  const head = lines.findIndex((line) => line.startsWith('SESSIONS  USER'))
  return lines.slice(head + 1).map((line) => line.trim().split(/ {2,}/))
}

describe('a program that finds the proxy in its environment', () => {
  test('goes through the lab that runs; its sessions are shown in the end, alike ones in one line; its exit code is passed on', async () => {
    const ran = await shell('curl -q -s https://ipv4.icanhazip.com/; curl -q -s https://ipv4.icanhazip.com/; exit 7')
    expect(ran).toMatchObject({ code: 7, stdout: `${AMSTERDAM}\n${AMSTERDAM}\n` })
    expect(table(ran)).toEqual([
      ['2', 'bob@example.com', 'TCP', 'ipv4.icanhazip.com:443', AMSTERDAM, 'AMS', '-', 'balanced'],
    ])
  })

  test('where none runs, it gets a lab of its own, and nothing of it stays', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-own-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const main = join(process.cwd(), 'src/main.ts')
    const args = [main, 'run', '--own', ...BOB, '--', 'curl', '-q', '-s', 'https://ifconfig.me/', '-4']
    const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, TMPDIR: folder } })
    const ran = await ended(child)
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(/^(203\.0\.113\.10|2001:db8:10:)/) })
    expect(execFileSync('ls', ['-A', folder], { encoding: 'utf8' })).toBe('')
  })

  test('a signal reaches the program, and its answer to it is the exit code', async () => {
    const script = 'trap "exit 42" TERM; echo ready; while :; do sleep 0.1; done'
    const child = start([...running, ...BOB, '--', 'sh', '-c', script])
    const all = ended(child)
    if (child.stdout === null) throw new Error('no output')
    await once(child.stdout, 'data')
    child.kill('SIGTERM')
    expect(await all).toMatchObject({ code: 42 })
    expect(await run(...running, '--', 'sh', '-c', 'kill -9 $$')).toMatchObject({ code: 137 })
  })

  test('a program that does not exist is 127, as in a shell', async () => {
    const ran = await run(...running, 'no-such-program')
    expect(ran.code).toBe(127)
    expect(ran.stderr).toContain('cannot run `no-such-program`: there is no such program\n')
  })

  test('wrong ports are a usage error', async () => {
    for (const ports of ['80,', '0', '70000', '90-80', 'http', '1-65535']) {
      expect(await run('--capture', '--capture-ports', ports, 'true')).toMatchObject({ code: 2, stdout: '' })
    }
  })
})

/** Whether this machine lets us; a person's machine skips, continuous integration must not. */
function hasNamespaces(): boolean {
  const { status } = spawnSync('unshare', ['--user', '--map-root-user', '--net', '--mount', 'true'])
  if (status === 0) return true
  const message = 'this kernel does not let us have user and network namespaces'
  if (process.env.CI === 'true') throw new Error(message)
  process.stderr.write(`SKIPPED: ${message}\n`)
  return false
}

/** Starts a server that ends with the test, and waits until it says that it listens. */
async function serve(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args)
  onTestFinished(() => {
    child.kill()
  })
  await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data')])
}

/** Any user but root. */
const SOMEBODY = 65_534

/** The folder of PostgreSQL's server programs, which Debian puts on nobody's path. */
function postgres(): string | undefined {
  const [folder] = globSync('/usr/lib/postgresql/*/bin').filter((each) => existsSync(join(each, 'initdb')))
  return folder ?? (installed('initdb', 'postgresql') === undefined ? undefined : '')
}

describe.skipIf(!hasNamespaces())('a program that knows no proxy is caught', () => {
  const captured = (script: string, ...options: readonly string[]) => shell(script, '--capture', ...options)

  test('curl, whatever its environment says; by the name where a rule looks at names', async () => {
    const ran = await captured('curl -q -s --noproxy "*" -o /dev/null -w "%{http_code}" https://payroll.saas.test/')
    expect(ran).toMatchObject({ code: 0, stdout: '200' })
    const rule = 'Payroll from encrypted devices'
    expect(table(ran)).toEqual([
      ['1', 'bob@example.com', 'TCP', 'payroll.saas.test:443', '203.0.113.30', 'IAD', rule, 'dedicated'],
    ])
  })

  test('a name no rule looks at, whichever way it was resolved, is in the table for the address that was connected to', async () => {
    const program = `
import socket
answered = [socket.gethostbyname('ESPN.com'), socket.getaddrinfo('espn.com', 80, socket.AF_INET6)[0][4][0]]
for address in answered:
    s = socket.create_connection((address, 80))
    s.sendall(b'GET / HTTP/1.0\\r\\nHost: espn.com\\r\\n\\r\\n')
    s.makefile('rb').read()
print(*answered)
`
    const byUdp = await run(...running, ...BOB, '--capture', '--', 'python3', '-c', program)
    expect(byUdp).toMatchObject({ code: 0, stdout: '198.51.100.40 2001:db8:f00::40\n' })
    expect(table(byUdp).map((row) => row[3])).toEqual(['espn.com:80', 'espn.com:80'])
    if (installed('dig', 'bind9-dnsutils') === undefined) return
    const byTcp = await captured(
      'dig +tcp +keepopen +short bank.saas.test A partner.test A; curl -q -s -o /dev/null http://198.51.100.150/',
    )
    expect(byTcp).toMatchObject({ code: 0, stdout: expect.stringContaining('198.51.100.150\n') })
    expect(table(byTcp).map((row) => row[3])).toEqual(['partner.test:80'])
  })

  test('of two names at one address the table has the one that TLS was asked for, else the address', async () => {
    const file = join(given.folder, 'two-names.yaml')
    writeFileSync(
      file,
      `dedicated_ips: [{ colo: AMS, ipv4: ${AMSTERDAM} }]
users: [{ email: bob@example.com, password: lab-bob, place: AMS }]
dns: { listen: ["127.0.0.1:8053"] }
destinations:
  - { name: one.test, addresses: [198.51.100.77], origin: echo }
  - { name: two.test, addresses: [198.51.100.77], ports: { "80": 10080, "443": 10443 } }
`,
    )
    const script = 'for at in http://one https://two http://two https://one; do curl -q -s -k $at.test/; done'
    const ran = await run('--own', '-c', file, ...BOB, '--capture', '--', 'sh', '-c', script)
    expect(
      table(ran)
        .map(([count, , , destination]) => `${count} ${destination}`)
        .sort(),
    ).toEqual(['1 one.test:443', '1 two.test:443', '2 198.51.100.77:80'])
  })

  test('over IPv6', async () => {
    const ran = await captured('curl -q -s "http://[2001:db8:f00::5]/"')
    expect(ran.stdout).toMatch(/^2001:db8:10:/)
  })

  test('dig gets the answers of Gateway DNS, whichever server it asks, over UDP and TCP', async () => {
    if (installed('dig', 'bind9-dnsutils') === undefined) return
    const servers = ['', '@9.9.9.9', '@2001:db8::53', '+tcp @9.9.9.9']
    const ran = await captured(servers.map((server) => `dig +short ${server} espn.com A`).join('; '))
    expect(ran.stdout).toBe('198.51.100.40\n'.repeat(4))
    expect(ran.stderr).toBe('no connection went through the lab\n')
  })

  test('redis-cli reaches a server of this machine, by its loopback address', async () => {
    const [server, client] = [installed('redis-server', 'redis-server'), installed('redis-cli', 'redis-tools')]
    if (server === undefined || client === undefined) return
    const port = ownPort(40)
    await serve(server, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--protected-mode', 'no'])
    const ask = `redis-cli -p ${port}`
    const ran = await captured(`${ask} set colour blue; ${ask} get colour`, '--capture-ports', String(port))
    expect(ran.stdout).toBe('OK\nblue\n')
    expect(table(ran)[0]?.slice(0, 4)).toEqual(['2', 'bob@example.com', 'TCP', `127.0.0.1:${port}`])
  })

  test('Python sockets: TCP to its end in both directions, and UDP whatever address the program is bound to', async () => {
    const program = `
import socket
s = socket.create_connection(('198.51.100.4', 80))
s.sendall(b'GET / HTTP/1.0\\r\\nHost: ipv4.icanhazip.com\\r\\n\\r\\n')
s.shutdown(socket.SHUT_WR)
print(s.makefile().read().splitlines()[-1])
for bound in ('', '127.0.0.1'):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((bound, 0))
    u.sendto(b'who am I', (socket.gethostbyname('udp-echo.test'), 7))
    answer, peer = u.recvfrom(2000)
    print(answer.decode().strip(), *peer)
`
    const ran = await run(...running, ...BOB, '--capture', '--', 'python3', '-c', program)
    expect(ran).toMatchObject({ code: 0, stdout: `${AMSTERDAM}\n${`${AMSTERDAM} 198.51.100.7 7\n`.repeat(2)}` })
    const sent = table(ran).filter(([, , protocol]) => protocol === 'UDP')
    expect(sent).toEqual([['2', 'bob@example.com', 'UDP', expect.any(String), AMSTERDAM, 'AMS', '-', 'balanced']])
  })

  test('UDP over IPv6, from a socket that the program connects and from one that it does not', async () => {
    const echo = createSocket('udp6')
    echo.on('message', (bytes, { port, address }) => echo.send(`${bytes} heard`, port, address))
    echo.bind(ownPort(42), '::1')
    await once(echo, 'listening')
    onTestFinished(() => void echo.close())
    const program = `
import socket
for connected in (True, False):
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    if connected:
        u.connect(('::1', ${ownPort(42)}))
        u.send(b'one')
    else:
        u.sendto(b'two', ('::1', ${ownPort(42)}))
    answer, peer = u.recvfrom(2000)
    print(answer.decode(), *peer[:2])
`
    const ports = ['--capture-ports', String(ownPort(42))]
    const ran = await run(...running, ...BOB, '--capture', ...ports, '--', 'python3', '-c', program)
    expect(ran).toMatchObject({ code: 0, stdout: `one heard ::1 ${ownPort(42)}\ntwo heard ::1 ${ownPort(42)}\n` })
    expect(table(ran).map((row) => row.slice(0, 4))).toEqual([['2', 'bob@example.com', 'UDP', `[::1]:${ownPort(42)}`]])
  })

  test('psql asks a PostgreSQL server of this machine', async () => {
    const [client, server] = [installed('psql', 'postgresql-client'), postgres()]
    if (client === undefined || server === undefined) return
    const port = ownPort(43)
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-postgres-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const data = join(folder, 'data')
    // it refuses to run as root
    const asSomebody = process.geteuid?.() === 0 ? { uid: SOMEBODY, gid: SOMEBODY } : {}
    if ('uid' in asSomebody) chownSync(folder, SOMEBODY, SOMEBODY)
    execFileSync(join(server, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'lab', '--no-sync'], asSomebody)
    // it sees the stand-in of an egress IP as its client
    appendFileSync(join(data, 'pg_hba.conf'), 'host all all 127.0.0.0/8 trust\n')
    const options = ['-D', data, '-k', folder, '-h', '127.0.0.1', '-p', String(port), '-F']
    const child = spawn(join(server, 'postgres'), options, { stdio: ['ignore', 'ignore', 'pipe'], ...asSomebody })
    onTestFinished(async () => {
      child.kill('SIGQUIT')
      await once(child, 'exit')
    })
    for await (const line of createInterface(child.stderr)) {
      if (line.includes('ready to accept connections')) break
    }
    child.stderr.resume()
    const ran = await captured(
      `psql -h 127.0.0.1 -p ${port} -U lab -d postgres -At -c "select 6 * 7"`,
      '--capture-ports',
      String(port),
    )
    expect(ran).toMatchObject({ code: 0, stdout: '42\n' })
    expect(table(ran)[0]?.slice(0, 4)).toEqual(['1', 'bob@example.com', 'TCP', `127.0.0.1:${port}`])
  })

  test('a static program in C, which no preloaded library could reach', async () => {
    const compiler = installed('gcc', 'gcc')
    if (compiler === undefined) return
    const [source, program] = [join(given.folder, 'ask.c'), join(given.folder, 'ask')]
    writeFileSync(
      source,
      `#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
int main() {
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) };
  inet_pton(AF_INET, "198.51.100.4", &to.sin_addr);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) return 1;
  dprintf(s, "GET / HTTP/1.0\\r\\nHost: ipv4.icanhazip.com\\r\\n\\r\\n");
  char c;
  while (read(s, &c, 1) == 1) putchar(c);
  return 0;
}`,
    )
    execFileSync(compiler, ['-static', '-o', program, source])
    const ran = await run(...running, ...BOB, '--capture', '--', program)
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining(`\r\n\r\n${AMSTERDAM}\n`) })
  })

  test("ngtcp2's client downloads a megabyte over HTTP/3", async () => {
    const [client, server] = [installed('gtlsclient', 'ngtcp2-client'), installed('gtlsserver', 'ngtcp2-server')]
    if (client === undefined || server === undefined) return
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-http3-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    for (const name of ['www', 'got']) mkdirSync(join(folder, name))
    const leaf = await issueLeaf(await issueAuthority(Date.now()), ['o.test'], Date.now())
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    writeFileSync(key, leaf.key)
    writeFileSync(certificate, leaf.certificate)
    const body = randomBytes(1024 * 1024)
    writeFileSync(join(folder, 'www', 'body.bin'), body)
    const [host, port] = [loopback(81), '4433']
    const www = join(folder, 'www')
    await serve(server, ['--no-quic-dump', '--no-http-dump', '-d', www, host, port, key, certificate])
    const options = `-q --exit-on-all-streams-close --download=${join(folder, 'got')}`
    const ran = await captured(`${client} ${options} ${host} ${port} https://o.test:${port}/body.bin`)
    expect(ran.code).toBe(0)
    expect(readFileSync(join(folder, 'got', 'body.bin')).equals(body)).toBe(true)
    expect(table(ran)).toEqual([['1', 'bob@example.com', 'UDP', `${host}:${port}`, AMSTERDAM, 'AMS', '-', 'balanced']])
  })

  test('a program that does not exist is 127, and one that cannot be run is 126, as in a shell', async () => {
    const capture = [...running, ...BOB, '--capture', '--']
    const missing = await run(...capture, 'no-such-program')
    expect(missing).toMatchObject({ code: 127, stdout: '' })
    expect(missing.stderr).toContain('cannot run `no-such-program`: there is no such program\n')
    const folder = await run(...capture, tmpdir())
    expect(folder).toMatchObject({ code: 126, stderr: expect.stringContaining(`cannot run \`${tmpdir()}\`: EACCES\n`) })
  })

  test('it runs as who started it, and may not change the network it is in', async () => {
    const { code, stdout } = await captured('id -u; cat /etc/resolv.conf')
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${process.geteuid?.()}\nnameserver 127.0.0.1\n` })
  })

  test('a destination that cannot be reached is an error for the program, and has its name in the table', async () => {
    const ran = await captured('curl -q -s http://192.0.2.1/; echo $?')
    expect(ran.stdout).not.toBe('0\n')
    expect(table(ran)[0]?.slice(0, 4)).toEqual(['1', 'bob@example.com', 'TCP', '192.0.2.1:80'])
    expect(table(ran)[0]?.at(-1)).toMatch(/^[a-z]+\.[a-z_]+$/)
  })

  test('a port that is not caught is refused, and leads nowhere else', async () => {
    const port = ownPort(41)
    const server = createServer(() => {
      throw new Error('it got out')
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const ran = await captured(`curl -q -sS http://127.0.0.1:${port}/ 2>&1; curl -q -sS http://198.51.100.4:81/ 2>&1`)
    expect(ran.code).toBe(7)
    expect(ran.stdout.match(/Couldn't connect to server|Connection refused/g)).toHaveLength(2)
    const line = 'egresslab: 2 connections were refused here, to a port that is not caught; add it to `--capture-ports`'
    expect(ran.stderr).toBe(`${line} [capture.not_caught]\nno connection went through the lab\n`)
    const udp = `import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', ${port}))`
    const sent = await run(...running, ...BOB, '--capture', '--', 'python3', '-c', udp)
    expect(sent.stderr).toContain('egresslab: 1 datagram was refused here, to a port that is not caught')
  })

  test('a lab of its own catches too', async () => {
    const ran = await run('--own', ...BOB, '--capture', '--', 'curl', '-q', '-s', 'https://ipv4.icanhazip.com/')
    expect(ran).toMatchObject({ code: 0, stdout: `${AMSTERDAM}\n` })
  })
})
