// Which values belong to the user, which to the host name and which to the single connection: the index caches results
// per user, so it must know which values stay the same with the user.

export type FieldOrigin = 'user' | 'host' | 'flow'

/** Where a field's value comes from. */
export function fieldOriginOf(field: string): FieldOrigin {
  if (field.startsWith('identity.')) return 'user'
  return field === 'net.fqdn.host' || field === 'net.fqdn.domains' ? 'host' : 'flow'
}
