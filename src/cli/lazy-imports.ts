// What several commands share and what takes long to load: each function imports its module when a command first needs it, so
// that every other command starts without it. What one command alone needs it imports itself.

import type { LabConfig } from '../config/lab-config.ts'
import type { Decider, DeciderOptions } from '../decider/decider.ts'
import type { ReadConfig } from '../decider/read-config.ts'
import type { Issue } from '../errors/issue.ts'
import type { HostAddresses } from '../host-addresses/host-addresses.ts'
import type { LabAddressOptions, LabClient } from '../lab/lab-client.ts'
import type { ReplayOutcome, ReplayRequest } from '../replay/replay.ts'
import { countIssues } from './render/render-issues.ts'
import { type Io, stylesFor } from './terminal.ts'

/** Reads and checks a configuration, rules included. Throws an InputError with every error; warnings come back. */
export async function readConfig(file: string): Promise<ReadConfig> {
  return (await import('../decider/read-config.ts')).readConfig(file)
}

/** Reads a configuration and counts its warnings on standard error. Throws an InputError with every error. */
export async function readConfigWithWarnings(file: string, io: Io): Promise<LabConfig> {
  const { config, issues } = await readConfig(file)
  const warnings = issues.filter(({ severity }) => severity === 'warning')
  if (warnings.length > 0) {
    const style = stylesFor(io, io.stderr)
    io.stderr.write(`${style.warn(countIssues(warnings))} in ${file}; run \`egresslab check\` to see them\n`)
  }
  return config
}

/** Says on standard error that there is no geo database, where that is among these notices. */
export function tellOfGeo(io: Io, notices: readonly Issue[]): void {
  const missing = notices.find(({ code }) => code === 'geo.no_database')
  if (missing !== undefined) io.stderr.write(`${missing.message}; ${missing.hint}\n`)
}

/** Opens a decider, without listeners, on a configuration and its run-time changes. Throws an InputError. */
export async function openDecider(options: DeciderOptions): Promise<Decider> {
  return (await import('../decider/decider.ts')).openDecider(options)
}

/** Connects to the API of the running lab. Throws an InputError when no lab is running or there is no token for it. */
export async function connectLab(options: LabAddressOptions): Promise<LabClient> {
  return (await import('../lab/lab-client.ts')).connectLab(options)
}

/** Opens this machine's addresses as a configuration needs them. Throws an InputError. */
export async function openHostAddresses(configFile: string): Promise<HostAddresses> {
  const { HostAddresses: Addresses } = await import('../host-addresses/host-addresses.ts')
  return new Addresses(configFile)
}

/** Decides recorded sessions again. Throws an InputError. */
export async function replay(request: ReplayRequest): Promise<ReplayOutcome> {
  return (await import('../replay/replay.ts')).replay(request)
}
