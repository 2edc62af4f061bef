// Exits elsewhere: proxies that realise egress addresses, out of the sections dedicated_ips and shared_egress.

import { cidr } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { ip } from '../net/ip.ts'
import type { ConfiguredExit } from './lab-config.ts'
import type { RawExit } from './raw-config.ts'
import type { Reading } from './reading.ts'
import { Secret } from './secret.ts'
import type { Path } from './source-document.ts'

/** Every exit; who finds its address among several takes the first. */
export function readExits(reading: Reading): readonly ConfiguredExit[] {
  const { dedicated_ips, shared_egress } = reading.raw
  const dedicated = dedicated_ips.flatMap(({ ipv4, ipv6, exit }, at) => {
    const realises = [...(ipv4 === undefined ? [] : [ip(ipv4).text]), ...(ipv6 === undefined ? [] : [cidr(ipv6).text])]
    return readExit(reading, exit, realises, ['dedicated_ips', at, 'exit'])
  })
  return [...dedicated, ...readExit(reading, shared_egress.exit, ['shared'], ['shared_egress', 'exit'])]
}

/** None or one; a mistake is noted. */
export function readExit(
  { raw, problems }: Reading,
  exit: RawExit | undefined,
  realises: readonly string[],
  path: Path,
): ConfiguredExit[] {
  if (exit === undefined) return []
  const { socks5, http, username, password } = exit
  const kind = socks5 === undefined ? 'http' : 'socks5'
  const target = parseAuthority(socks5 ?? http ?? '')
  if ((socks5 === undefined) === (http === undefined) || target?.kind !== 'ip') {
    problems.add(path, 'config.conflict', 'an exit is a `socks5` or an `http` proxy, one of the two')
    return []
  }
  const at = { ip: target.ip, port: target.port }
  const own = [raw.api, ...raw.listeners].find(({ host, port }) => port === at.port && ip(host).text === at.ip.text)
  if (own !== undefined) {
    const message = `\`${formatEndpoint(at)}\` is where this lab listens itself: its connections would come back to it for ever`
    problems.add([...path, kind], 'config.conflict', message)
  }
  if (password !== undefined && username === undefined) {
    problems.add([...path, 'password'], 'config.conflict', 'a password without a `username` is of no use')
  }
  const login = username === undefined ? undefined : { username, password: new Secret(password ?? '') }
  const text = `${kind}://${formatEndpoint(at)}`
  return [Object.freeze({ realises, kind, at, text, ...(login === undefined ? {} : { login }) })]
}
