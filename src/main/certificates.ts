// The development certificates of this checkout, for the names its configuration answers to and the
// addresses its proxy listens on.

import { join } from 'node:path'
import type { LabConfig } from '../config/lab-config.ts'
import { type DevelopmentCertificates, ensureDevelopmentCertificates } from '../tls/development-certificates.ts'

/** `certs/` of the checkout */
export const CERTIFICATES_FOLDER = join(import.meta.dirname, '..', '..', 'certs')

/** Reads the certificates, making what is missing. Throws an InputError. */
export function certificatesFor(config: LabConfig): Promise<DevelopmentCertificates> {
  const origins = config.destinations.flatMap(({ name }) => (name === undefined ? [] : [name]))
  const doors = config.listeners.map(({ host }) => host).filter((host) => host !== '0.0.0.0' && host !== '::')
  const names = [...origins, ...doors]
  return ensureDevelopmentCertificates({ folder: CERTIFICATES_FOLDER, names, now: Date.now() })
}

/** The authority that signed them. */
export async function certificateAuthority(config: LabConfig): Promise<{ file: string; pem: string }> {
  const { authorityFile, authority } = await certificatesFor(config)
  return { file: authorityFile, pem: authority }
}
