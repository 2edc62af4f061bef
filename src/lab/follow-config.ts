// Follows the configuration file while the lab runs: a valid new version takes effect as a whole; an invalid one changes
// nothing and is reported until it is fixed (CF-01, CF-02).

import { isDeepStrictEqual } from 'node:util'
import type { LabConfig } from '../config/lab-config.ts'
import type { RawDestination } from '../config/lab-schema.ts'
import { isSameBytes, type ParsedFiles, type ReadFiles } from '../config/source-document.ts'
import type { DecisionContext } from '../decider/decider.ts'
import { type ReadOptions, readConfig } from '../decider/read-config.ts'
import { ChangeError } from '../errors/change-error.ts'
import { InputError } from '../errors/issue.ts'
import type { People } from '../identity/directory.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Store } from '../store/store.ts'
import { watchConfig } from '../store/watch-config.ts'
import type { Engine } from '../transport/engine.ts'
import { checkAddresses } from './preflight.ts'

/** What is set up once: a change of these waits for the next start. */
const AT_START = [
  'listeners',
  'origins',
  'api',
  'dns',
  'timeouts',
  'udp',
  'distance',
  'workers',
  'limits',
  'log',
  'fleet',
] as const satisfies (keyof LabConfig)[]

export interface FollowedConfig {
  /** the configuration in force */
  readonly config: LabConfig
  /** why the file on disk is not in force; undefined while it is */
  readonly stale: string | undefined
  /** what the configuration in force was read from, and the destinations beside it */
  readonly files: ReadFiles
  readonly destinations: readonly RawDestination[]
  /** Puts the configuration into force with these destinations beside its own; `prepare` is called before, with what is to come.
   *  Throws an InputError, a ChangeError, or what `prepare` throws; then nothing has changed. */
  change(destinations: readonly RawDestination[], prepare: (next: LabConfig) => Promise<void>): Promise<void>
  /** Reads the file again, changed or not. */
  reload(): void
  close(): void
}

export interface FollowOptions {
  readonly config: LabConfig
  /** with the files that `config` was read from */
  readonly load: ReadOptions & { readonly files: ReadFiles }
  /** contents that are not read from the disk */
  readonly given: ReadFiles
  /** false: nobody changes the file, so nobody looks */
  readonly isWatched: boolean
  readonly store: Store
  readonly context: DecisionContext
  readonly events: EventLog
  readonly engine: Engine
  /** Throws an InputError or a ChangeError for a version that must not be in force. */
  readonly admits?: (next: LabConfig) => void
  /** called when a new version is in force here; it counts as applied when the promise resolves */
  readonly onTaken: () => Promise<void>
}

/** Starts following. */
export function followConfig(options: FollowOptions): FollowedConfig {
  const { config, load, given, isWatched, store, context, events, engine, admits, onTaken } = options
  let stale: string | undefined
  let inForce = config
  let { files, destinations = [] } = load
  let people = peopleOf(config)
  /** as it was last read with no destination beside it; undefined: the file has changed since */
  let alone: { readonly read: LabConfig; readonly newFiles: ReadFiles } | undefined =
    destinations.length === 0 ? { read: config, newFiles: files } : undefined
  /** by changes of the destinations, which follow each other */
  const parsed: ParsedFiles = new Map()
  let turn = Promise.resolve()
  /** Subscribers of the new state already find the new files here. */
  const take = (read: LabConfig, newFiles: ReadFiles, beside: readonly RawDestination[]) => {
    const before = { files, destinations }
    files = newFiles
    destinations = beside
    try {
      store.reload(read)
    } catch (thrown) {
      ;({ files, destinations } = before)
      throw thrown
    }
    context.replaceConfig(read)
    people = peopleOf(read)
  }
  const readAnew = (beside: readonly RawDestination[], parsed?: ParsedFiles) => {
    const newFiles: ReadFiles = new Map(given)
    const options = { ...load, files: newFiles, destinations: beside, ...(parsed === undefined ? {} : { parsed }) }
    const { config: read } = readConfig(config.file, options)
    const isOnlyBeside = parsed !== undefined && isSameFiles(newFiles, files)
    return { read: isOnlyBeside ? { ...read, ...people } : read, newFiles }
  }
  const apply = async (beside: readonly RawDestination[], prepare?: (next: LabConfig) => Promise<void>) => {
    const { read, newFiles } =
      prepare !== undefined && beside.length === 0 && alone !== undefined ? alone : readAnew(beside, prepare && parsed)
    admits?.(read)
    // what is added is tried by whoever prepares it
    if (prepare === undefined) await checkAddresses(read, store.current().account, engine)
    else await prepare(read)
    take(read, new Map(newFiles), beside)
    await onTaken()
    if (beside.length === 0) alone = { read, newFiles }
    else if (prepare === undefined) alone = undefined
    const names = new Set(beside.map(({ name }) => name))
    const origins = [...config.origins, ...read.origins.filter(({ name }) => names.has(name))]
    inForce = { ...read, ...settled(config), origins }
    stale = undefined
    return read
  }
  const reload = async () => {
    try {
      const before = inForce
      parsed.clear()
      const read = await apply(destinations)
      events.info(`reloaded \`${config.file}\`${waiting(before, read)}`)
    } catch (thrown) {
      stale = reasonOf(thrown)
      events.warn(`\`${config.file}\` is not in force: ${stale}; the previous version stays in force`)
    }
  }
  const changed = () => {
    turn = turn.then(reload)
  }
  const rulesFile = () => (inForce.rulesFile === undefined ? [] : [inForce.rulesFile])
  const watched = () => (isWatched ? [config.file, ...rulesFile()] : [])
  const watch = watchConfig({
    filesNow: watched,
    onChange: changed,
    onProblem: (message) => events.warn(message),
  })
  return {
    get config() {
      return inForce
    },
    get stale() {
      return stale
    },
    get files() {
      return files
    },
    get destinations() {
      return destinations
    },
    change(beside, prepare) {
      const done = turn.then(async () => void (await apply(beside, prepare)))
      turn = done.catch(() => undefined)
      return done
    },
    reload: changed,
    close: () => watch.close(),
  }
}

/** The people of the same files are the same objects, by which those who have logged in stay known (identity/identify.ts). */
function peopleOf({ users, groups, identityProviders, devices, sources }: LabConfig): People {
  return { users, groups, identityProviders, devices, sources }
}

function isSameFiles(some: ReadFiles, others: ReadFiles): boolean {
  return (
    some.size === others.size &&
    [...some].every(([path, contents]) => {
      const other = others.get(path)
      return other !== undefined && isSameBytes(contents, other)
    })
  )
}

/** What was set up at the start stays in force as it was then. */
export function settled(config: LabConfig): Pick<LabConfig, (typeof AT_START)[number]> {
  return Object.fromEntries(AT_START.map((key) => [key, config[key]])) as Pick<LabConfig, (typeof AT_START)[number]>
}

function waiting(before: LabConfig, after: LabConfig): string {
  const changed = AT_START.filter((key) => !isDeepStrictEqual(before[key], after[key]))
  return changed.length === 0
    ? ''
    : `; changes of ${changed.map((key) => `\`${key}\``).join(', ')} take effect at the next start`
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof ChangeError) return thrown.message
  if (!(thrown instanceof InputError)) throw thrown
  const errors = thrown.issues.filter(({ severity }) => severity === 'error')
  const [first] = errors
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more; \`egresslab check\` lists them)` : ''
  return `${first?.line === undefined ? '' : `line ${first.line}: `}${first?.message ?? 'it is not valid'}${more}`
}
