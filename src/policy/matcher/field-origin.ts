// Which of a field's values go with the person, which with the host name, and which with the single connection: the index remembers
// people and hosts, so it must know what changes with them and what does not.

export type FieldOrigin = 'person' | 'host' | 'flow'

/** Where a field's value comes from. */
export function fieldOriginOf(field: string): FieldOrigin {
  if (field.startsWith('identity.')) return 'person'
  return field === 'net.fqdn.host' || field === 'net.fqdn.domains' ? 'host' : 'flow'
}
