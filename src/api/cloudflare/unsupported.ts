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
    `${A}/gateway/rules/{id}/reset_expiration`,
    'expiration is for DNS rules, which are stored but not evaluated',
  ),
  unsupported(`${A}/gateway/locations*`, 'DNS locations do not affect egress policies'),
  unsupported(`${A}/gateway/certificates*`, 'TLS is not inspected, so there is no certificate to choose'),
  unsupported(
    `${A}/gateway/configuration/custom_certificate`,
    'TLS is not inspected, so there is no certificate to choose',
  ),
  unsupported(`${A}/gateway/app_types`, 'applications of hosts and networks are declared in the configuration file'),
  unsupported(
    `${A}/gateway/categories`,
    'content categories of hosts and networks are declared in the configuration file',
  ),
  unsupported(`${A}/gateway/audit_ssh_settings*`, 'SSH is not audited'),
  unsupported(`${A}/teamnet/routes/network/*`, 'replaced by `/teamnet/routes/{id}`'),
  unsupported(`${A}/zerotrust/subnets`, 'only the initial resolved IP ranges are supported'),
  unsupported(`${A}/zerotrust/subnets/warp*`, 'the lab gives devices no private address'),
  unsupported(`${A}/zerotrust/subnets/cloudflare_source*`, 'the lab has no Cloudflare source range'),
  unsupported(`${A}/cfd_tunnel/{id}/*`, 'tunnels carry no traffic here; they are names that routes point to'),
  unsupported(`${A}/warp_connector*`, 'tunnels carry no traffic here; use `/cfd_tunnel`'),
  unsupported(`${A}/tunnels*`, 'use `/cfd_tunnel`'),
  unsupported(`${A}/magic/*`, 'on-ramps are declared per device in the configuration file'),
  unsupported(`${A}/devices`, 'devices are declared in the configuration file; only `/devices/settings` is supported'),
  unsupported(`${A}/devices/policy*`, 'device profiles do not affect egress policies'),
  unsupported(`${A}/devices/posture*`, 'posture checks are declared per device in the configuration file'),
  unsupported(`${A}/devices/networks*`, 'managed networks do not affect egress policies'),
  unsupported(`${A}/devices/registrations*`, 'devices are declared in the configuration file'),
  unsupported(`${A}/access/*`, 'users and groups are declared in the configuration file'),
  unsupported(`${A}/addressing/*`, 'dedicated egress IPs are declared in the configuration file'),
]

/** Why a path is missing; undefined for any other. Asked before routes, as `/rules/tenant` is no rule's id. */
export function whyUnsupported(path: string): string | undefined {
  return UNSUPPORTED.find(({ pattern }) => pattern.test(path))?.reason
}
