// What `start` prints once everything listens: the addresses, and curl lines with the egress IP each will show, computed by the
// same decision the proxy will make.

import type { ConfiguredUser, OriginSpec } from '../../config/lab-config.ts'
import { counted } from '../../errors/counted.ts'
import type { RunningLab } from '../../lab/start-lab.ts'
import { containsIp } from '../../net/cidr.ts'
import { formatTarget, reachableHost, type Target } from '../../net/endpoint.ts'
import { type Ip, ip } from '../../net/ip.ts'
import { decide } from '../../policy/decide.ts'
import type { Arrival, Listener } from '../../proxy/arrival.ts'
import { quoted, shellWord } from '../shell-word.ts'
import type { TextStyles } from '../terminal.ts'

/** At most so many users are shown. */
const SHOWN_USERS = 4

/** The text, ending in a line feed. */
export async function startupBanner(lab: RunningLab, style: TextStyles): Promise<string> {
  const { config, listeners, api, apiUrl, consoleUrl, apiToken } = lab
  const warnings = lab.issues.filter(({ severity }) => severity === 'warning').length
  const lines = [
    `${style.strong('egresslab')} runs ${config.file} ${style.dim(`(engine ${lab.engine})`)}`,
    ...listeners.map(
      (listener) =>
        `  proxy    ${addressOf(listener)}${everywhere(listener)}  HTTP, CONNECT, SOCKS4a, SOCKS5${security(listener)}${about(listener)}`,
    ),
    `  API      ${apiUrl}${everywhere(api)}  ${tokenText(lab)}`,
    ...(apiToken.made === undefined ? [] : [`  token    ${apiToken.made}  ${style.dim('shown only once')}`]),
    ...dnsLine(lab, apiUrl),
    `  console  ${consoleUrl}/, and ${consoleUrl}/me to choose a virtual network`,
    ...(lab.sessionsFile === undefined ? [] : [`  sessions ${lab.sessionsFile}`]),
    ...(warnings === 0
      ? []
      : [
          style.warn(
            `  ${counted(warnings, 'warning')}; \`npx egresslab check\` shows ${warnings === 1 ? 'it' : 'them'}`,
          ),
        ]),
    ...(await tries(lab, style)),
    '',
  ]
  return lines.join('\n')
}

/** Placeholders need host selectors: rules that are inactive without them are reported here, where people look first. */
function dnsLine({ dns, snapshot }: RunningLab, apiUrl: string): string[] {
  if (dns.length === 0) return []
  const idle = snapshot().ruleset.skipped.filter(({ why }) => why === 'host-selectors-off').length
  const rules = idle === 1 ? '1 rule waits' : `${idle} rules wait`
  const note = idle === 0 ? '' : `; host selectors are off: no placeholders are given out, and ${rules} for them`
  return [
    `  DNS      ${dns.map(({ ip, port }) => addressOf({ host: ip.text, port })).join(', ')} over UDP and TCP, ${apiUrl}/dns-query${note}`,
  ]
}

function tokenText({ apiToken: { file, made } }: RunningLab): string {
  if (file !== undefined) return `token in ${file}`
  return made === undefined ? 'token from EGRESSLAB_API_TOKEN' : 'token in memory only'
}

type At = Pick<Listener, 'host' | 'port'>

/** One that can be connected to from here. */
function addressOf({ host, port }: At): string {
  return formatTarget({ kind: 'name', name: reachableHost(host), port })
}

function everywhere({ host }: At): string {
  return host === reachableHost(host) ? '' : ' and on all other addresses of this machine'
}

function security({ tls }: Listener): string {
  if (tls === undefined) return ''
  return tls.mode === 'required' ? ', TLS only' : ', no TLS'
}

function about({ name, fixedUser, authentication, endpoint }: Listener): string {
  if (endpoint !== undefined) return `, proxy endpoint ${endpoint.host}`
  if (fixedUser !== undefined) return `, every client is ${fixedUser}`
  return authentication === 'anonymous' ? `, without identity (${name})` : ''
}

/** Echo lines for the first users; for the first service with an allowlist, one user it lets in and one it refuses. */
async function tries(lab: RunningLab, style: TextStyles): Promise<string[]> {
  const listener = lab.listeners.find(
    (listener) => listener.authentication !== 'anonymous' && listener.fixedUser === undefined,
  )
  if (listener === undefined) return []
  const users = lab.config.users.slice(0, SHOWN_USERS)
  const echo = lab.config.origins.find(({ kind, name }) => kind === 'echo' && hasOnlyIpv4(lab, name))
  const saas = lab.config.origins.find(({ kind, name }) => kind === 'saas' && hasOnlyIpv4(lab, name))
  const attempt = (origin: OriginSpec) => Promise.all(users.map((user) => tryLine(lab, listener, user, origin)))
  const echoed = echo === undefined ? [] : await attempt(echo)
  const asked = saas === undefined ? [] : await attempt(saas)
  const decisive = (['200', '403'] as const).flatMap(
    (status) => asked.find(({ expected }) => expected.startsWith(status)) ?? [],
  )
  const rows = [...echoed, ...decisive]
  if (rows.length === 0) return []
  const width = Math.max(...rows.map(({ line }) => line.length))
  const shown = rows.map(({ line, expected }) => `  ${line.padEnd(width)}  ${style.dim('#')} ${style.good(expected)}`)
  return ['', 'Try these:', ...shown, style.dim('  npx egresslab explain --user EMAIL URL explains why.')]
}

function hasOnlyIpv4({ config }: RunningLab, name: string): boolean {
  const addresses = config.destinations.find((destination) => destination.name === name)?.addresses
  return addresses?.every((address) => address.public.family === 4) === true
}

async function tryLine(lab: RunningLab, listener: Listener, user: ConfiguredUser, { name, kind, allow }: OriginSpec) {
  const { email } = user.identity
  const secret = user.password?.kind === 'plain' ? `:${user.password.text.reveal()}` : ''
  const trust = listener.tls?.files === undefined ? ` --proxy-cacert ${shellWord(lab.authorityFile)}` : ''
  const proxy = listener.tls?.mode === 'required' ? `${trust} -x https` : ' -x http'
  const line = `curl${proxy}://${addressOf(listener)} -U ${quoted(email + secret)} http://${name}/`
  const egress = await egressFor(lab, { ...listener, fixedUser: email }, { kind: 'name', name, port: 80 })
  if (egress === undefined) return { line, expected: '503, unroutable' }
  if (kind === 'echo') return { line, expected: egress.text }
  const isAllowed = allow.some((network) => containsIp(network, egress))
  return { line, expected: `${isAllowed ? '200' : '403'}, sees ${egress.text}` }
}

async function egressFor(lab: RunningLab, listener: Listener, target: Target): Promise<Ip | undefined> {
  const arrival: Arrival = {
    protocol: 'http-forward',
    transport: 'tcp',
    listener,
    peer: { ip: ip('127.0.0.1'), port: 0 },
    target,
    acceptedAt: 0,
  }
  const [first] = await lab.decider.flowsOf(arrival)
  return first === undefined ? undefined : decide(lab.snapshot(), first.flow).egress?.address
}
