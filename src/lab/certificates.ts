// The certificates of TLS listeners: the development certificate, or the user's own files, which are reloaded when they change.
// A reload that fails is reported and changes nothing (TL-01).

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApiCertificate } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { ownFolder } from '../config/own-package.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { TlsMaterial, TlsSource } from '../inbound/tls/tls-termination.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Listener } from '../proxy/arrival.ts'
import { watchConfig } from '../store/watch-config.ts'
import { type DevelopmentCertificates, ensureDevelopmentCertificates } from '../tls/development-certificates.ts'
import type { CertifiedKey } from '../tls/issue-certificates.ts'
import { examineClientCertificate, readAuthorities, readServerCertificate } from '../tls/listener-certificates.ts'

export interface ListenerCertificates {
  readonly tlsFor: (listener: Listener) => TlsSource | undefined
  /** stops following the files */
  close(): void
}

/** Reads what every listener names. Throws an InputError with everything that is wrong with any of it. */
export function openListenerCertificates(
  listeners: readonly Listener[],
  development: CertifiedKey,
  events: EventLog,
): ListenerCertificates {
  const issues: Issue[] = []
  const sources = new Map<Listener, FollowedSource>()
  for (const listener of listeners) {
    try {
      sources.set(listener, new FollowedSource(listener, development, events))
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown
      issues.push(...thrown.issues)
    }
  }
  const close = () => {
    for (const source of sources.values()) source.close()
  }
  if (issues.length > 0) {
    close()
    throw new InputError(issues)
  }
  return { tlsFor: (listener) => sources.get(listener), close }
}

/** The certificate of the API; undefined where it has no TLS. Throws an InputError. */
export function openApiCertificate(
  { host, port, tls }: LabConfig['api'],
  development: CertifiedKey,
  events: EventLog,
): (ApiCertificate & { close(): void }) | undefined {
  if (tls === undefined) return undefined
  const files = tls.kind === 'files' ? { files: { certificate: tls.certificate, key: tls.key } } : {}
  const listener = { name: 'api', host, port, authentication: 'required', tls: { mode: 'required', ...files } } as const
  return new FollowedSource(listener, development, events)
}

class FollowedSource implements TlsSource {
  readonly examine?: NonNullable<TlsSource['examine']>
  readonly close: () => void
  readonly #listeners: ((material: TlsMaterial) => void)[] = []
  #material: TlsMaterial

  constructor(listener: Listener, development: CertifiedKey, events: EventLog) {
    this.#material = readMaterial(listener, development)
    const files = filesOf(listener)
    const { clientCertificates } = listener
    if (clientCertificates !== undefined) {
      const revoked = new Set(clientCertificates.revoked)
      this.examine = (certificate, problem) =>
        examineClientCertificate(certificate, { problem, revoked, now: Date.now() })
    }
    const reload = () => {
      try {
        this.#material = readMaterial(listener, development)
        for (const tell of this.#listeners) tell(this.#material)
        events.info(`the listener \`${listener.name}\` now uses its new certificate`)
      } catch (thrown) {
        if (!(thrown instanceof InputError)) throw thrown
        events.warn(`the listener \`${listener.name}\` keeps its certificate: ${thrown.message}`)
      }
    }
    this.close = files.length === 0 ? () => {} : watchOver(files, reload, (message) => events.warn(message))
  }

  current(): TlsMaterial {
    return this.#material
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.push(listener)
  }
}

function watchOver(files: readonly string[], onChange: () => void, onProblem: (message: string) => void): () => void {
  const watch = watchConfig({ filesNow: () => files, onChange, onProblem })
  return () => watch.close()
}

function filesOf({ tls, clientCertificates }: Listener): string[] {
  return [
    ...(tls?.files === undefined ? [] : [tls.files.certificate, tls.files.key]),
    ...(clientCertificates === undefined ? [] : [clientCertificates.authorityFile]),
  ]
}

function readMaterial({ tls, clientCertificates }: Listener, development: CertifiedKey): TlsMaterial {
  const pair = tls?.files === undefined ? development : readServerCertificate(tls.files, Date.now())
  if (clientCertificates === undefined) return pair
  return { ...pair, clientAuthority: readAuthorities(clientCertificates.authorityFile) }
}

/** Where the certificates of labs with this state folder are: in a checkout its own `certs`, which all of them share; else
 *  `certs` of the state folder. */
export function certificatesFolder(state: string): string {
  const ofCheckout = join(ownFolder(), 'certs')
  return existsSync(ofCheckout) ? ofCheckout : join(state, 'certs')
}

/** The same for a lab that is started, unless it is told a folder. One that keeps nothing takes what is there; else it has
 *  a folder that goes with it: `remove` is to be called in the end. */
export function openCertificatesFolder(lab: {
  readonly state: string
  readonly ephemeral: boolean
  readonly certificates?: string
}) {
  const { state, ephemeral, certificates } = lab
  if (certificates !== undefined) return { folder: certificates, remove: () => {} }
  const kept = certificatesFolder(state)
  if (!ephemeral || existsSync(kept)) return { folder: kept, remove: () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-certs-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Reads the certificates, making what is missing. Throws an InputError. */
export function certificatesFor(
  config: Pick<LabConfig, 'destinations' | 'listeners' | 'api'>,
  folder: string,
): Promise<DevelopmentCertificates> {
  const origins = config.destinations.flatMap(({ name }) => (name === undefined ? [] : [name]))
  const { host: apiHost, names: apiNames = [], publicUrl, tls } = config.api
  const ofApi =
    tls?.kind === 'development' ? [apiHost, ...apiNames, ...(publicUrl === undefined ? [] : [publicUrl.host])] : []
  const doors = [...config.listeners.map(({ host }) => host), ...ofApi]
  const names = [...new Set([...origins, ...doors.filter((host) => host !== '0.0.0.0' && host !== '::')])]
  return ensureDevelopmentCertificates({ folder, names, now: Date.now() })
}
