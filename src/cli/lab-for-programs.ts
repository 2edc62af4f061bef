// The lab that `env` and `run` send programs to: one that runs, found by its configuration, its state folder or its ready file;
// or one of `run`'s own, which is gone with the program.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { InputError, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { LabAddressOptions, LabClient } from '../lab/lab-client.ts'
import type { AccessibleLab, ClientAccess } from '../library/access.ts'
import type { ProxyChoice } from '../library/lab.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import { connectLab, readConfig } from './lazy-imports.ts'
import { withLabAddress } from './verb.ts'

export interface ProgramOptions extends LabAddressOptions {
  readonly readyFile?: string
  readonly user?: string
  readonly password?: string
  readonly vnet?: string
  readonly device?: string
  readonly family?: '4' | '6'
  readonly listener?: string
}

export interface ProgramLab {
  readonly access: ClientAccess
  /** where Gateway DNS answers; empty: there is none */
  readonly dns: readonly HostPort[]
  /** What became of the connections so far, or undefined where nobody may ask. To be called once, when the program has ended; the lab is
   *  closed if it is `run`'s own. */
  readonly end: () => Promise<readonly SessionRecord[] | undefined>
}

interface HostPort {
  readonly host: string
  readonly port: number
}

/** Adds the options that say which lab, and who connects. */
export function withPerson(command: Command): Command {
  return withLabAddress(command)
    .option('--ready-file <file>', 'file written by `start --ready-file`, instead of the three options above')
    .option('--user <email>', 'user to connect as (default: the first user of the configuration)')
    .option('--password <password>', 'password (default: from the configuration)')
    .option('--vnet <name or id>', 'virtual network')
    .option('--device <name or id>', 'device the user connects from')
    .addOption(new Option('--family <family>', 'address family of destinations').choices(['4', '6']))
    .option('--listener <name>', 'listener to connect to (default: the first that fits)')
}

/** Who connects, as the library has it. */
export function choiceOf({ user, password, vnet, device, family, listener }: ProgramOptions): ProxyChoice {
  return {
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(vnet === undefined ? {} : { virtualNetwork: vnet }),
    ...(device === undefined ? {} : { device }),
    ...(family === undefined ? {} : { family: family === '4' ? 4 : 6 }),
    ...(listener === undefined ? {} : { listener }),
  }
}

/** The lab that runs. Throws an InputError: `lab.not_running` where nobody listens, `lab.not_ours` where the lab that answers is not the
 *  one of the state folder. */
export async function runningLab(options: ProgramOptions): Promise<ProgramLab> {
  const ready = options.readyFile === undefined ? undefined : readReadyFile(options.readyFile)
  return ready === undefined ? labOfState(options) : labOfReadyFile(ready)
}

/** What a ready file says is true, whether the lab can be asked or not. */
async function labOfReadyFile(ready: Ready): Promise<ProgramLab> {
  const { config } = await readConfig(ready.config)
  const client = ready.token_file === null ? undefined : await clientOf(addressFrom(ready))
  const listeners = config.listeners.map((one) => ({ ...one, ...at(ready.listeners, one) }))
  const virtualNetworks = client === undefined ? (config.virtualNetworks ?? []) : await networksOf(client)
  return labOver({ listeners, authorityFile: ready.ca_file, virtualNetworks, config }, ready.dns, client)
}

/** Only who has its token knows that it is the lab of this folder, whose certificates programs are to trust. */
async function labOfState(options: ProgramOptions): Promise<ProgramLab> {
  const client = await clientOf(options)
  if (client === undefined) throw notOurs(options)
  const open = (await client.ask('GET', '/lab/v1/listeners')) as Ready['listeners']
  const { dns } = (await client.ask('GET', '/lab/v1/health')) as Pick<Ready, 'dns'>
  const { config } = await readConfig(options.config)
  const listeners = config.listeners.filter(({ name }) => open.some((one) => one.name === name))
  const authorityFile = await authorityOf(options.state)
  const opened = listeners.map((one) => ({ ...one, ...at(open, one) }))
  const virtualNetworks = await networksOf(client)
  return labOver({ listeners: opened, authorityFile, virtualNetworks, config }, dns, client)
}

interface Known extends Pick<AccessibleLab, 'listeners' | 'authorityFile'> {
  readonly virtualNetworks: readonly { readonly id: string; readonly name: string }[]
  readonly config: AccessibleLab['decider']['config']
}

async function labOver(
  { virtualNetworks, config, ...known }: Known,
  dns: readonly HostPort[],
  client: LabClient | undefined,
): Promise<ProgramLab> {
  const access = await accessTo({ ...known, snapshot: () => ({ account: { virtualNetworks } }), decider: { config } })
  const before = new Set(client && (await finishedSessions(client)).map(({ SessionID }) => SessionID))
  const end = async () => client && (await settled(client)).filter(({ SessionID }) => !before.has(SessionID))
  return { access, dns, end }
}

/** The certificate that the lab of this state folder has made. Nothing is made here. */
async function authorityOf(state: string): Promise<string> {
  const { certificatesFolder } = await import('../lab/certificates.ts')
  const file = join(certificatesFolder(state), 'ca.pem')
  if (existsSync(file)) return file
  const hint = 'a lab with `--ephemeral` keeps it elsewhere: start it with `--ready-file FILE`, and pass that file here'
  throw inputError('lab.no_certificate', 'the certificate of the lab is not in its state folder', { file, hint })
}

function notOurs({ state, api }: ProgramOptions): InputError {
  const message = `the lab that runs${api === undefined ? '' : ` at ${api}`} is not the one of \`${state}\`, which has no token for it`
  const hint = 'pass its state folder with `--state DIR`, or the file of its `start --ready-file FILE`'
  return inputError('lab.not_ours', message, { hint })
}

/** A lab of its own, on free ports and stand-ins, in memory. Throws an InputError. */
export async function ownLab({ config: configFile, state }: ProgramOptions): Promise<ProgramLab> {
  const [{ startLab }, { reserveLoopbackNetwork }] = await Promise.all([
    import('../lab/start-lab.ts'),
    import('../lab/loopback-network.ts'),
  ])
  const standIns = await reserveLoopbackNetwork()
  const certificates = mkdtempSync(join(tmpdir(), 'egresslab-run-'))
  const place = { portsFromZero: true, standInNetwork: standIns.network, certificates }
  const lab = await startLab({ configFile, state, ephemeral: true, followsFile: false, ...place })
  const end = async () => {
    await lab.close()
    standIns.release()
    rmSync(certificates, { recursive: true, force: true })
    return lab.sessions.recent()
  }
  return { access: await accessTo(lab), dns: lab.dns.map(({ ip, port }) => ({ host: ip.text, port })), end }
}

async function accessTo(lab: AccessibleLab): Promise<ClientAccess> {
  const { ClientAccess: Access } = await import('../library/access.ts')
  return new Access(lab, readFileSync(lab.authorityFile, 'utf8'))
}

/** What `start --ready-file` writes, as far as it is needed here. */
interface Ready {
  readonly listeners: readonly (HostPort & { readonly name: string })[]
  readonly api: { readonly url: string }
  readonly dns: readonly HostPort[]
  readonly token_file: string | null
  readonly ca_file: string
  readonly config: string
}

function readReadyFile(file: string): Ready {
  let problem = 'this is not what `start --ready-file` writes'
  try {
    const ready: Partial<Ready> = JSON.parse(readFileSync(file, 'utf8'))
    if (Array.isArray(ready.listeners) && typeof ready.api?.url === 'string' && typeof ready.config === 'string')
      return ready as Ready
  } catch (thrown) {
    problem = `cannot be read: ${messageOf(thrown)}`
  }
  const hint = 'the file is there while the lab runs: `egresslab start --ready-file FILE`'
  throw inputError('lab.bad_ready_file', problem, { file, hint })
}

function addressFrom({ api, token_file, config }: Ready): LabAddressOptions {
  return { config, api: api.url, state: token_file === null ? '' : dirname(token_file) }
}

function at(open: Ready['listeners'], { name, host, port }: Listener): HostPort {
  const found = open.find((one) => one.name === name)
  return found === undefined ? { host, port } : { host: found.host, port: found.port }
}

/** Undefined where a lab answers whose token is nowhere, or is another. */
async function clientOf(address: LabAddressOptions): Promise<LabClient | undefined> {
  try {
    const client = await connectLab(address)
    await client.ask('GET', '/lab/v1/health')
    return client
  } catch (thrown) {
    const isStranger = ({ code }: { readonly code: string }) => code === 'lab.no_token' || code === 'lab.token_refused'
    if (thrown instanceof InputError && thrown.issues.some(isStranger)) return undefined
    throw thrown
  }
}

async function networksOf(client: LabClient) {
  const [account] = (await client.ask('GET', '/client/v4/accounts')) as { readonly id: string }[]
  const path = `/client/v4/accounts/${account?.id}/teamnet/virtual_networks?is_deleted=false`
  return (await client.ask('GET', path)) as { readonly id: string; readonly name: string }[]
}

async function finishedSessions(client: LabClient): Promise<readonly SessionRecord[]> {
  return (await client.ask('GET', '/lab/v1/sessions/recent?limit=1000')) as SessionRecord[]
}

/** A session ends a moment after its connection: those still open get this long. */
const SETTLE_MS = 2_000
const SETTLE_STEP_MS = 50

async function settled(client: LabClient): Promise<readonly SessionRecord[]> {
  for (let waited = 0; waited < SETTLE_MS; waited += SETTLE_STEP_MS) {
    const open = (await client.ask('GET', '/lab/v1/sessions')) as readonly unknown[]
    if (open.length === 0) break
    await delay(SETTLE_STEP_MS)
  }
  return finishedSessions(client)
}
