// `verify`: the documented check that dedicated egress works. Asks an IPv4 and an IPv6 echo origin through the running
// proxy and says whether what they saw are dedicated IPs.

import { InvalidArgumentError } from 'commander'
import type { LabConfig } from '../../config/lab-config.ts'
import {
  type EchoOrigin,
  type EgressVerification,
  echoOrigins,
  VERIFY_TIMEOUT_MS,
  verifyOrigin,
} from '../../decider/verify-egress.ts'
import { inputError } from '../../errors/issue.ts'
import type { Family } from '../../net/ip.ts'
import { readConfigWithWarnings } from '../lazy-imports.ts'
import { type Io, renderTable, stylesFor, type TextStyles, writeJson } from '../terminal.ts'
import { type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly json?: true
  readonly user?: string
  readonly password?: string
  readonly vnet?: string
  readonly proxy?: { readonly host: string; readonly port: number }
}

export const registerVerify: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('verify')))
    .description('requests the echo origins through the running proxy and checks that they saw a dedicated IP')
    .option('--user <email>', 'user to connect as (default: the first user of the configuration)')
    .option('--password <password>', 'password (default: EGRESSLAB_PASSWORD, else `lab-` and the part before the @)')
    .option('--vnet <name or id>', 'virtual network for these connections')
    .option('--proxy <host:port>', 'proxy to use (default: the first listener)', parseProxy)
    .action(
      action(async (options: Options) => {
        const { getThroughProxy } = await import('../../decider/proxy-client.ts')
        const config = await readConfigWithWarnings(options.config, io)
        const user = options.user ?? config.users[0]?.identity.email
        const answers: EgressVerification[] = []
        for (const origin of originsToAsk(config)) {
          const credentials =
            user === undefined ? {} : { credentials: credentialsFor(user, origin.family, options, io) }
          const proxy = options.proxy ?? proxyOf(config)
          const request = (url: string) =>
            getThroughProxy(new URL(url), { proxy, ...credentials }, { timeoutMs: VERIFY_TIMEOUT_MS })
          answers.push(await verifyOrigin(origin, config.dedicatedIps, request))
        }
        const good = answers.every(({ dedicated }) => dedicated)
        if (options.json) writeJson(io, { user: user ?? null, dedicated: good, answers })
        else io.stdout.write(renderAnswers(answers, user, stylesFor(io, io.stdout)))
        return good ? 0 : 1
      }),
    )
}

function originsToAsk(config: LabConfig): readonly EchoOrigin[] {
  const found = echoOrigins(config)
  if (found.length > 0) return found
  const hint = 'add a destination with `origin: echo`, such as `ipv4.icanhazip.com` in the shipped configuration'
  const message = 'the configuration has no echo origin'
  throw inputError('verify.no_echo_origin', message, { hint, file: config.file })
}

function credentialsFor(user: string, family: Family, { vnet, password }: Options, io: Io) {
  const parameters = [user, ...(vnet === undefined ? [] : [`vnet=${vnet}`]), `family=${family}`]
  const documented = `lab-${user.split('@')[0]}`
  return { username: parameters.join(';'), password: password ?? io.env.EGRESSLAB_PASSWORD ?? documented }
}

function renderAnswers(answers: readonly EgressVerification[], user: string | undefined, style: TextStyles): string {
  const rows = answers.map(({ family, asked, seen, dedicated, colo, problem }) => [
    `IPv${family}`,
    asked,
    seen === '' ? '-' : seen,
    dedicated ? style.good(`dedicated, ${colo}`) : style.bad(problem ?? 'not a dedicated IP'),
  ])
  const head = ['FAMILY', 'ASKED', 'SAW', 'WHICH IS'].map(style.dim)
  return `${user === undefined ? 'without a user' : `as ${user}`}\n${renderTable([head, ...rows])}`
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
