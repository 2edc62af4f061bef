// `verify`: the documented check that dedicated egress works. Asks an IPv4 and an IPv6 echo origin through the running
// proxy and says whether what they saw are dedicated IPs.

import { InvalidArgumentError } from 'commander'
import type { Destination, LabConfig } from '../../config/lab-config.ts'
import { InputError } from '../../errors/issue.ts'
import { containsIp } from '../../net/cidr.ts'
import { equalIp, type Family, type Ip, parseIp } from '../../net/ip.ts'
import type { DedicatedEgressIp } from '../../policy/account.ts'
import { type Io, writeJson } from '../io.ts'
import { type Paint, paintFor } from '../paint.ts'
import { readConfigNoting } from '../read-config.ts'
import type { ProxyAnswer } from '../services.ts'
import { renderTable } from '../table.ts'
import { type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly json?: true
  readonly user?: string
  readonly password?: string
  readonly vnet?: string
  readonly proxy?: { readonly host: string; readonly port: number }
}

/** What one echo origin saw. */
interface Answer {
  readonly family: Family
  readonly asked: string
  readonly seen: string
  readonly dedicated: boolean
  readonly colo: string | null
  readonly problem: string | null
}

export const registerVerify: RegisterVerb = (program, { io, services, action }) => {
  withJson(withConfig(program.command('verify')))
    .description('asks the echo origins through the running proxy and says whether they saw dedicated IPs')
    .option('--user <email>', 'as whom (default: the first user of the configuration)')
    .option('--password <password>', 'default: EGRESSLAB_PASSWORD, else `lab-` and the name before the @')
    .option('--vnet <name or id>', 'virtual network for these connections')
    .option('--proxy <host:port>', 'the proxy to ask (default: the first listener)', parseProxy)
    .action(
      action(async (options: Options) => {
        const { config } = await readConfigNoting(options.config, io, services)
        const user = options.user ?? config.users[0]?.identity.email
        const answers: Answer[] = []
        for (const origin of echoOrigins(config)) {
          const credentials = user === undefined ? {} : credentialsFor(user, origin.family, options, io)
          const proxy = options.proxy ?? proxyOf(config)
          answers.push(await ask(origin, config, (url) => services.askThroughProxy({ proxy, url, ...credentials })))
        }
        const good = answers.every(({ dedicated }) => dedicated)
        if (options.json) writeJson(io, { user: user ?? null, dedicated: good, answers })
        else io.stdout.write(renderAnswers(answers, user, paintFor(io, io.stdout)))
        return good ? 0 : 1
      }),
    )
}

interface EchoOrigin {
  readonly name: string
  readonly family: Family
}

/** One echo origin per family: rather one that has no other family. */
function echoOrigins(config: LabConfig): readonly EchoOrigin[] {
  const echoes = new Set(config.origins.filter(({ kind }) => kind === 'echo').map(({ name }) => name))
  const destinations = config.destinations.filter(({ name }) => name !== undefined && echoes.has(name))
  const found = ([4, 6] as const).flatMap((family) => {
    const fitting = destinations.filter((destination) => familiesOf(destination).has(family))
    const best = fitting.find((destination) => familiesOf(destination).size === 1) ?? fitting[0]
    return best?.name === undefined ? [] : [{ name: best.name, family }]
  })
  if (found.length > 0) return found
  const hint = 'give a destination an `origin: echo`, as `ipv4.icanhazip.com` has in the shipped configuration'
  const message = 'the configuration has no echo origin to ask'
  throw new InputError([{ severity: 'error', code: 'verify.no_echo_origin', message, hint, file: config.file }])
}

function familiesOf({ addresses }: Destination): Set<Family> {
  return new Set(addresses.map((address) => address.public.family))
}

async function ask(
  { name, family }: EchoOrigin,
  config: LabConfig,
  request: (url: string) => Promise<ProxyAnswer>,
): Promise<Answer> {
  const url = `http://${name}/`
  const nothing = { family, asked: url, seen: '', dedicated: false, colo: null }
  try {
    const { status, body } = await request(url)
    const seen = parseIp(body.trim())
    if (status !== 200 || seen === undefined) return { ...nothing, problem: `${status}: ${firstLine(body)}` }
    const owner = ownerOf(config.dedicatedIps, seen)
    return { ...nothing, seen: seen.text, dedicated: owner !== undefined, colo: owner?.colo ?? null, problem: null }
  } catch (thrown) {
    return { ...nothing, problem: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

function credentialsFor(user: string, family: Family, { vnet, password }: Options, io: Io) {
  const parameters = [user, ...(vnet === undefined ? [] : [`vnet=${vnet}`]), `family=${family}`]
  const documented = `lab-${user.split('@')[0]}`
  return { username: parameters.join(';'), password: password ?? io.env.EGRESSLAB_PASSWORD ?? documented }
}

function ownerOf(dedicatedIps: readonly DedicatedEgressIp[], seen: Ip): DedicatedEgressIp | undefined {
  return dedicatedIps.find(
    ({ ipv4, ipv6 }) =>
      (ipv4 !== undefined && equalIp(ipv4.address, seen)) || (ipv6 !== undefined && containsIp(ipv6.range, seen)),
  )
}

function renderAnswers(answers: readonly Answer[], user: string | undefined, paint: Paint): string {
  const rows = answers.map(({ family, asked, seen, dedicated, colo, problem }) => [
    `IPv${family}`,
    asked,
    seen === '' ? '-' : seen,
    dedicated ? paint.good(`dedicated, ${colo}`) : paint.bad(problem ?? 'not a dedicated IP'),
  ])
  const head = ['FAMILY', 'ASKED', 'SAW', 'WHICH IS'].map(paint.dim)
  return `as ${user ?? 'nobody in particular'}\n${renderTable([head, ...rows])}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

function proxyOf(config: LabConfig): { host: string; port: number } {
  const [listener] = config.listeners
  return { host: listener?.host ?? '127.0.0.1', port: listener?.port ?? 8080 }
}

function parseProxy(text: string): { host: string; port: number } {
  const match = /^(?:http:\/\/)?(.+):(\d{1,5})\/?$/.exec(text)
  const [, host, port] = match ?? []
  if (host === undefined || port === undefined) throw new InvalidArgumentError('write it as host:port')
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}
