// What `start` says once everything listens: the addresses, and curl lines with the egress IP each will show, computed by the
// same decision the proxy will make.

import type { ConfiguredUser } from '../config/lab-config.ts'
import { formatTarget, type Target } from '../net/endpoint.ts'
import { ip } from '../net/ip.ts'
import { decide } from '../policy/decide.ts'
import type { Arrival, Listener } from '../proxy/arrival.ts'
import type { Paint } from './paint.ts'
import type { RunningLab } from './services.ts'

/** At most so many users are shown. */
const SHOWN_USERS = 4

/** The text, ending in a line feed. */
export async function welcome(lab: RunningLab, paint: Paint): Promise<string> {
  const { config, listeners, api } = lab
  const warnings = lab.issues.filter(({ severity }) => severity === 'warning').length
  const lines = [
    `${paint.strong('egresslab')} runs ${config.file}`,
    ...listeners.map(
      (listener) => `  proxy    ${addressOf(listener)}  HTTP, CONNECT, SOCKS4a, SOCKS5${about(listener)}`,
    ),
    `  API      http://${formatTarget({ kind: 'name', name: api.host, port: api.port })}`,
    ...(lab.sessionsFile === undefined ? [] : [`  sessions ${lab.sessionsFile}`]),
    ...(warnings === 0 ? [] : [paint.warn(`  ${warnings} warnings; \`npx egresslab check\` shows them`)]),
    ...(await tries(lab, paint)),
    '',
  ]
  return lines.join('\n')
}

function addressOf({ host, port }: Listener): string {
  return formatTarget({ kind: 'name', name: host, port })
}

function about({ name, fixedUser, authentication, endpoint }: Listener): string {
  if (endpoint !== undefined) return `, proxy endpoint ${endpoint.host}`
  if (fixedUser !== undefined) return `, everyone is ${fixedUser}`
  return authentication === 'anonymous' ? `, without identity (${name})` : ''
}

/** One line per user, and one per user for the first service with an allowlist. */
async function tries(lab: RunningLab, paint: Paint): Promise<string[]> {
  const door = lab.listeners.find(
    (listener) => listener.authentication !== 'anonymous' && listener.fixedUser === undefined,
  )
  const echo = lab.config.origins.find(({ kind, name }) => kind === 'echo' && hasIpv4(lab, name))
  if (door === undefined || echo === undefined) return []
  const users = lab.config.users.slice(0, SHOWN_USERS)
  const rows = await Promise.all(users.map((user) => tryLine(lab, door, user, echo.name)))
  const width = Math.max(...rows.map(({ line }) => line.length))
  const shown = rows.map(({ line, expected }) => `  ${line.padEnd(width)}  ${paint.dim('#')} ${paint.good(expected)}`)
  return ['', 'Try, and expect as the answer:', ...shown, paint.dim('  npx egresslab explain --user … says why.')]
}

function hasIpv4({ config }: RunningLab, name: string): boolean {
  const addresses = config.destinations.find((destination) => destination.name === name)?.addresses
  return addresses?.every((address) => address.public.family === 4) === true
}

async function tryLine(lab: RunningLab, door: Listener, user: ConfiguredUser, host: string) {
  const { email } = user.identity
  const secret = user.password?.kind === 'plain' ? `:${user.password.text.reveal()}` : ''
  const line = `curl -x http://${addressOf(door)} -U '${email}${secret}' http://${host}/`
  return {
    line,
    expected: await expectedFor(lab, { ...door, fixedUser: email }, { kind: 'name', name: host, port: 80 }),
  }
}

async function expectedFor(lab: RunningLab, listener: Listener, target: Target): Promise<string> {
  const arrival: Arrival = {
    protocol: 'http-forward',
    transport: 'tcp',
    listener,
    peer: { ip: ip('127.0.0.1'), port: 0 },
    target,
    acceptedAt: 0,
  }
  const [first] = await lab.desk.flowsOf(arrival)
  if (first === undefined) return 'no address'
  const { egress, outcome } = decide(lab.snapshot(), first.flow)
  return egress === null ? outcome : egress.address.text
}
