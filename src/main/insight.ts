// What the API's watchers may look into, over the running lab: decisions as they fell, the verification through the lab's own
// door, and who would get into which test origin.

import type { InsightPort, OriginView, VerifyQuestion, Visitor } from '../api/index.ts'
import { explainConnection } from '../cli/explained.ts'
import type { Desk } from '../cli/services.ts'
import type { LabConfig, OriginSpec } from '../config/lab-config.ts'
import { echoOrigins, type Verified, verifyOrigin } from '../config/verification.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Cidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { letsIn } from '../policy/allowlist.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { SessionMemory } from '../proxy/session-memory.ts'
import { askThroughProxy } from './ask-through-proxy.ts'
import type { Traffic } from './traffic.ts'

export interface InsightParts {
  readonly config: LabConfig
  readonly traffic: Traffic
  readonly memory: SessionMemory
  readonly desk: Desk
  /** the doors that are open, with their real ports */
  readonly doors: () => readonly Listener[]
}

/** People whose admission is worked out; a configuration may have thousands. */
const MOST_VISITORS = 50

export function createInsight(parts: InsightParts): InsightPort {
  const { traffic, memory } = parts
  return {
    open: () => traffic.decided(),
    findOpen: (id) => traffic.find(id),
    finished: () => memory.list(),
    findFinished: (id) => memory.find(id),
    onOpen: (listener) => traffic.onOpen(listener),
    onFinish: (listener) => memory.subscribe(listener),
    verify: (question) => verify(parts, question),
    origins: () => Promise.all(parts.config.origins.map((spec) => viewOf(parts, spec))),
  }
}

async function verify(
  { config, doors }: InsightParts,
  { user, password, vnet }: VerifyQuestion,
): Promise<readonly Verified[] | undefined> {
  const configured = config.users.find(({ identity }) => identity.email === user)?.password
  const secret = password ?? (configured?.kind === 'plain' ? configured.text.reveal() : undefined)
  if (secret === undefined) return undefined
  const door = doors().find(
    ({ authentication, fixedUser }) => authentication !== 'anonymous' && fixedUser === undefined,
  )
  if (door === undefined) return []
  const proxy = { host: door.host, port: door.port }
  return Promise.all(
    echoOrigins(config).map((origin) => {
      const username = [user, ...(vnet === undefined ? [] : [`vnet=${vnet}`]), `family=${origin.family}`].join(';')
      return verifyOrigin(origin, config.dedicatedIps, (url) =>
        askThroughProxy({ proxy, url, username, password: secret }),
      )
    }),
  )
}

async function viewOf(parts: InsightParts, spec: OriginSpec): Promise<OriginView> {
  const { config } = parts
  const destination = config.destinations.find(({ name }) => name === spec.name)
  const users = spec.kind === 'saas' ? config.users.slice(0, MOST_VISITORS) : []
  const visitors = await Promise.all(users.map(({ identity }) => visitorOf(parts, spec, identity.email)))
  return {
    name: spec.name,
    kind: spec.kind,
    title: spec.title,
    addresses: destination?.addresses.map((address) => address.public.text) ?? [],
    proxiedByCloudflare: destination?.proxiedByCloudflare ?? false,
    ...(destination?.place === undefined ? {} : { place: destination.place }),
    ...(spec.kind === 'saas' ? { allow: spec.allow.map(rangeText) } : {}),
    visitors,
  }
}

/** A single address is shown as such. */
function rangeText(range: Cidr): string {
  return range.length === (range.family === 4 ? 32 : 128) ? range.base.text : range.text
}

/** The decision the proxy would make for them, and what the allowlist would make of that. */
async function visitorOf({ desk }: InsightParts, { name, allow }: OriginSpec, user: string): Promise<Visitor> {
  try {
    const options = { user, protocol: 'tcp', coloDown: [] } as const
    const [{ explanation, virtualNetwork }] = await explainConnection(desk, `https://${name}/`, options)
    const { outcome, rule, reason, egress } = explanation.decision
    const address = egress?.ipv4 ?? egress?.ipv6
    const source = address === undefined ? undefined : parseIp(address)
    return {
      user,
      vnet: virtualNetwork,
      outcome,
      rule: rule?.name ?? null,
      egress: address ?? null,
      letIn: letsIn({ name, addresses: [], allow }, source),
      reason,
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    return { user, vnet: '', outcome: '', rule: null, egress: null, letIn: false, reason: thrown.message }
  }
}
