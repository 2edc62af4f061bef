// The links from this member to every other one, and which of them a connection takes: that of the member which is the data center of
// the address that was decided.

import { GatewayError } from '../errors/gateway-error.ts'
import type { EventLog } from '../log/event-log.ts'
import { parseAuthority } from '../net/host.ts'
import { equalIp } from '../net/ip.ts'
import { isInterfaceAddress } from '../outbound/local-addresses.ts'
import { type MemberOf, memberFailed } from '../outbound/member-attempt.ts'
import type { DialAttempt } from '../proxy/stage-values.ts'
import type { Fleet } from './fleet.ts'
import { LinkClient, type LinkServer, type LinkService, serveLinks } from './link.ts'

/** Keeps a TLS link to every other member, and serves theirs; knows for each data center which link leads there. */
export class FleetLinks {
  readonly #fleet: Fleet
  readonly #events: Pick<EventLog, 'info' | 'warn'>
  readonly #clients = new Map<string, LinkClient>()
  #server: LinkServer | undefined
  #isClosed = false

  /** Connects to the members there are, and to those that come. */
  constructor(fleet: Fleet, events: Pick<EventLog, 'info' | 'warn'>) {
    this.#fleet = fleet
    this.#events = events
    fleet.onChange(() => this.#update())
    this.#update()
  }

  /** connections carried for other members */
  get carried(): number {
    return this.#server?.carried() ?? 0
  }

  /** Listens for the others. Rejects with the system's error. */
  async serve(service: Pick<LinkService, 'dial' | 'idleMs' | 'clock'>): Promise<void> {
    const { settings, identity, members } = this.#fleet
    this.#server = await serveLinks({
      ...service,
      identity,
      listen: settings.listen,
      isMember: (name) => this.#fleet.members.has(name),
      onProblem: (message) => this.#events.warn(message),
    })
    this.#events.info(
      `links of fleet \`${settings.name}\` at ${settings.listen.ip.text}:${settings.listen.port}, ${members.size} members known`,
    )
  }

  readonly memberOf: MemberOf = (attempt) => {
    const fleet = this.#fleet
    if (fleet.refusesConnections) {
      const why = 'this member is cut off from its fleet, and `fleet.on_partition` is `refuse`'
      return new GatewayError('egress.member_cut_off', why)
    }
    const { dedicated } = attempt.decision.egress ?? {}
    if (dedicated === undefined || attempt.candidate.tunnel !== undefined) return undefined
    const owner = [...fleet.members.values()].find(({ colo }) => colo === dedicated.colo)
    if (owner === undefined || owner.name === fleet.settings.member || leavesAtIngress(attempt)) return undefined
    return this.#clients.get(owner.name) ?? memberFailed(owner.name, 'there is no link to it')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
    await this.#server?.close()
  }

  #update(): void {
    if (this.#isClosed) return
    const { members, settings, identity, watch } = this.#fleet
    for (const [name, client] of this.#clients) {
      if (members.get(name)?.advertise === client.where) continue
      client.close()
      this.#clients.delete(name)
    }
    for (const { name, advertise } of members.values()) {
      const where = parseAuthority(advertise)
      if (name === settings.member || this.#clients.has(name) || where?.kind !== 'ip') continue
      const client = new LinkClient(name, { ip: where.ip, port: where.port }, identity, (state, why) => {
        if (state === 'up') this.#events.info(`the link to member \`${name}\` is up`)
        else this.#events.warn(`the link to member \`${name}\` is down: ${why}`)
        watch.setLink(name, state)
        this.#fleet.linkChanged()
      })
      this.#clients.set(name, client)
    }
  }
}

/** [E5]: what leaves at the ingress does so here where this machine has the address itself. */
function leavesAtIngress({ decision: { egress, physicalColo } }: DialAttempt): boolean {
  if (egress?.dedicated === undefined || physicalColo?.code === egress.dedicated.colo) return false
  const { address, standIns } = egress
  const isItself = standIns.length === 0 || standIns.some((standIn) => equalIp(standIn, address))
  return isItself && isInterfaceAddress(address)
}
