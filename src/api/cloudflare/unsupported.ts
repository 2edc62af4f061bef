// Parts of Cloudflare's API that clients of egress policies may come across and the lab leaves out, each with its reason.

export interface Unsupported {
  /** as documented, below `/client/v4` */
  readonly path: string
  readonly reason: string
  readonly pattern: RegExp
}

function unsupported(path: string, reason: string): Unsupported {
  const pattern = path
    .split(/(\{\w+\}|\*)/)
    .map((part) => (part === '*' ? '.*' : part.startsWith('{') ? '[^/]+' : part.replace(/[.]/g, '\\.')))
    .join('')
  return { path, reason, pattern: new RegExp(`^/client/v4${pattern}$`) }
}

const A = '/accounts/{account_id}'

export const UNSUPPORTED: readonly Unsupported[] = [
  unsupported(`${A}/gateway`, 'the lab has one account, which exists from the start'),
  unsupported(`${A}/gateway/rules/tenant`, 'accounts here have no parent'),
  unsupported(
    `${A}/gateway/configuration/custom_certificate`,
    'TLS is not inspected, so there is no certificate to choose',
  ),
  unsupported(`${A}/gateway/audit_ssh_settings*`, 'SSH is not audited'),
  unsupported(`${A}/teamnet/routes/network/*`, 'removed on 2026-10-05; use `/teamnet/routes/{id}`'),
  unsupported(`${A}/zerotrust/subnets/cloudflare_source*`, 'the lab has no Cloudflare source range'),
  unsupported(`${A}/cfd_tunnel/{id}/connectors*`, 'no connector runs in the lab'),
  unsupported(`${A}/cfd_tunnel/{id}/management`, 'no connector runs in the lab'),
  unsupported(`${A}/warp_connector/{id}/connectors*`, 'no connector runs in the lab'),
  unsupported(`${A}/warp_connector/{id}/failover`, 'no connector runs in the lab'),
  unsupported(`${A}/magic/*`, 'on-ramps are declared per device in the configuration file'),
  unsupported(`${A}/devices`, 'retired on 2025-11-11; devices are declared in the configuration file'),
  unsupported(`${A}/devices/physical-devices*`, 'devices are declared in the configuration file'),
  unsupported(`${A}/devices/posture/integration*`, 'posture is declared per device in the configuration file'),
  unsupported(`${A}/devices/registrations*`, 'devices are declared in the configuration file'),
  unsupported(`${A}/access/apps/{id}/*`, 'people are admitted by the configuration file'),
  unsupported(`${A}/access/identity_providers*`, 'identity providers are declared in the configuration file'),
  unsupported(`${A}/access/service_tokens*`, 'people log in to the proxy as the configuration file says'),
  unsupported(`${A}/access/users*`, 'users are declared in the configuration file'),
  unsupported(`${A}/addressing/*`, 'dedicated egress IPs are declared in the configuration file'),
]

/** Why a path is missing; undefined for any other. Asked before routes, as `/rules/tenant` is no rule's id. */
export function whyUnsupported(path: string): string | undefined {
  return UNSUPPORTED.find(({ pattern }) => pattern.test(path))?.reason
}
