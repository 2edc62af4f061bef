// The lab as a service: what systemd is told and does, and the files in deploy/ against the lab they are for.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { ROOT } from '../../scripts/source-files.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'

/** Prints what is sent to NOTIFY_SOCKET, a line each; systemd listens in the same way. */
const LISTEN = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True: print(s.recv(4096).decode(), flush=True)
`

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-service-'))
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function watched(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  children.push(child)
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (said.text += text))
  return { child, said }
}

const exitOf = async (child: ChildProcess) =>
  (await once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) }))[0]

const start = (env: Readonly<Record<string, string>> = {}) =>
  watched(process.execPath, ['src/main.ts', 'start', '--parallel', '--state', join(folder, 'state')], env)

test('a service manager is told when the lab is ready and when it stops; SIGHUP reloads, and an orderly stop is 0', async () => {
  if (installed('systemd-notify', 'systemd') === undefined || installed('python3', 'python3') === undefined) return
  const socket = join(folder, 'notify')
  const manager = watched('python3', ['-c', LISTEN, socket])
  await expect.poll(() => manager.said.text).toContain('bound\n')
  const { child, said } = start({ NOTIFY_SOCKET: socket })
  await expect.poll(() => manager.said.text).toContain('READY=1')
  expect(manager.said.text).toMatch(/STATUS=proxy at 127\.0\.0\.1:\d+/)
  expect(said.text).toContain('explains why.')
  child.kill('SIGHUP')
  await expect.poll(() => said.text).toContain('reloaded `config/lab.yaml`')
  child.kill('SIGTERM')
  expect(await exitOf(child)).toBe(0)
  await expect.poll(() => manager.said.text).toContain('STOPPING=1')
})

test('without systemd-notify the lab runs, and says that nobody could be told', async () => {
  const { child, said } = start({ NOTIFY_SOCKET: join(folder, 'nobody'), PATH: folder })
  await expect.poll(() => said.text).toContain('the service manager cannot be told `READY=1`')
  child.kill('SIGTERM')
  expect(await exitOf(child)).toBe(0)
})

test('systemd takes the unit, and its sandbox leaves little exposed', () => {
  if (installed('systemd-analyze', 'systemd') === undefined) return
  const unit = join(ROOT, 'deploy', 'egresslab.service')
  execFileSync('systemd-analyze', ['verify', unit], { stdio: 'pipe' })
  const found = execFileSync('systemd-analyze', ['security', '--offline=true', unit], { encoding: 'utf8' })
  expect(Number(/exposure level for egresslab\.service: ([\d.]+)/.exec(found)?.[1])).toBeLessThan(2.5)
})

test('what probes and health checks ask is a route that needs no token, in every file', () => {
  const open = new Map(ROUTES.map(({ path, access }) => [path, access]))
  for (const name of ['Dockerfile', 'kubernetes.yaml']) {
    const paths = [...readFileSync(join(ROOT, 'deploy', name), 'utf8').matchAll(/\/lab\/v1\/[\w/]+/g)]
    expect(paths.length).toBeGreaterThan(0)
    for (const [path] of paths) expect(`${path} ${open.get(path)}`).toMatch(/ (local|open)$/)
  }
})

test('compose and Kubernetes files run the image read-only, as nobody special, on the ports it listens on', () => {
  const read = (name: string) =>
    parseAllDocuments(readFileSync(join(ROOT, 'deploy', name), 'utf8')).map((document) =>
      document.toJS({ merge: true }),
    )
  const [compose] = read('compose.yaml')
  expect(compose.services.egresslab).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
  expect(Object.keys(compose.services)).toEqual(['egresslab', 'app', 'prometheus'])
  const [deployment] = read('kubernetes.yaml')
  const { containers, securityContext } = deployment.spec.template.spec
  expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 })
  expect(containers[0].securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false })
  const [lab] = read('lab.yaml')
  const ports = containers[0].ports.map((port: { readonly containerPort: number }) => port.containerPort)
  expect(ports).toEqual([lab.listeners[0].port, lab.api.port])
  writeFileSync(join(folder, 'lab.yaml'), readFileSync(join(ROOT, 'deploy', 'lab.yaml')))
  const checked = [process.execPath, ['src/main.ts', 'check', '-c', join(folder, 'lab.yaml'), '--json']] as const
  expect(JSON.parse(execFileSync(...checked, { encoding: 'utf8' }))).toMatchObject({ valid: true })
})

test('the fleet of the Compose file is one: three members alike, each with its address, certificate and ports', () => {
  const { services, configs } = parse(readFileSync(join(ROOT, 'deploy', 'compose-fleet.yaml'), 'utf8'), { merge: true })
  const members = Object.keys(configs).map((name) => {
    expect(services[name]).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
    expect(services[name].configs).toEqual([{ source: name, target: '/etc/egresslab/lab.yaml' }])
    const file = join(folder, `${name}.yaml`)
    writeFileSync(file, configs[name].content)
    const checked = execFileSync(process.execPath, ['src/main.ts', 'check', '-c', file, '--json'], { encoding: 'utf8' })
    expect(JSON.parse(checked)).toMatchObject({ valid: true })
    const { fleet, ...rest } = parse(configs[name].content)
    expect(fleet.advertise).toBe(`${services[name].networks.fleet.ipv4_address}:8443`)
    expect(fleet.servers).toEqual([`nats://${services.nats.networks.fleet.ipv4_address}:4222`])
    expect([fleet.certificate, fleet.colo]).toEqual([`/certs/${fleet.member}.pem`, name.toUpperCase()])
    return { name: fleet.member, rest }
  })
  expect(services.certificates.command).toEqual([
    ...['fleet', 'ca', '/var/lib/egresslab'],
    ...members.map(({ name }) => name),
    ...['--fleet', 'acme'],
  ])
  for (const { rest } of members) expect(rest).toEqual(members[0]?.rest)
})

test('port 80 as a user is refused with what to do, and no HOME is needed to be told', () => {
  if (installed('setpriv', 'util-linux') === undefined || process.getuid?.() !== 0) return
  const text = readFileSync(join(ROOT, 'config/init/lab.yaml'), 'utf8').replace('port: 8080', 'port: 80')
  writeFileSync(join(folder, 'lab.yaml'), text)
  chmodSync(folder, 0o755)
  const user = 'setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all env -u HOME'
  const script = `
    ip link set lo up
    echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start
    ${user} '${process.execPath}' src/main.ts start --ephemeral -c '${join(folder, 'lab.yaml')}' 2>&1; echo "ended with $?"`
  const printed = execFileSync('unshare', ['--net', 'sh', '-c', script], { encoding: 'utf8', timeout: PATIENCE_MS })
  expect(printed).toContain('`127.0.0.1:80` needs privileges this process does not have [listen.port_forbidden]')
  expect(printed).toContain('hint: choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE')
  expect(printed).toContain('ended with 2')
})
