// Follows the configuration file while the lab runs: a valid new version takes effect as a whole; an invalid one changes
// nothing and is reported until it is fixed (CF-01, CF-02).

import { isDeepStrictEqual } from 'node:util'
import type { LabConfig } from '../config/lab-config.ts'
import type { ReadFiles } from '../config/source-document.ts'
import type { DecisionContext } from '../decider/decider.ts'
import { type ReadOptions, readConfig } from '../decider/read-config.ts'
import { ChangeError } from '../errors/change-error.ts'
import { InputError } from '../errors/issue.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Store } from '../store/store.ts'
import { watchConfig } from '../store/watch-config.ts'
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
] as const satisfies (keyof LabConfig)[]

export interface FollowedConfig {
  /** the configuration in force */
  readonly config: LabConfig
  /** why the file on disk is not in force; undefined while it is */
  readonly stale: string | undefined
  /** what the configuration in force was read from */
  readonly files: ReadFiles
  close(): void
}

export interface FollowOptions {
  readonly config: LabConfig
  /** with the files that `config` was read from */
  readonly load: ReadOptions & { readonly files: ReadFiles }
  readonly store: Store
  readonly context: DecisionContext
  readonly events: EventLog
  /** called when a new version is in force here; it counts as applied when the promise resolves */
  readonly onTaken: () => Promise<void>
}

/** Starts following. */
export function followConfig({ config, load, store, context, events, onTaken }: FollowOptions): FollowedConfig {
  let stale: string | undefined
  let inForce = config
  let { files } = load
  let turn = Promise.resolve()
  /** Subscribers of the new state already find the new files here. */
  const take = (read: LabConfig, newFiles: ReadFiles) => {
    const before = files
    files = newFiles
    try {
      store.reload(read)
    } catch (thrown) {
      files = before
      throw thrown
    }
    context.replaceConfig(read)
  }
  const reload = async () => {
    try {
      const newFiles: ReadFiles = new Map()
      const { config: read } = readConfig(config.file, { ...load, files: newFiles })
      await checkAddresses(read, store.current().account)
      take(read, newFiles)
      await onTaken()
      events.info(`reloaded \`${config.file}\`${waiting(inForce, read)}`)
      inForce = { ...read, ...settled(config) }
      stale = undefined
    } catch (thrown) {
      stale = reasonOf(thrown)
      events.warn(`\`${config.file}\` is not in force: ${stale}; the previous version stays in force`)
    }
  }
  const watched = () => [config.file, ...(inForce.rulesFile === undefined ? [] : [inForce.rulesFile])]
  const watch = watchConfig({
    filesNow: watched,
    onChange: () => {
      turn = turn.then(reload)
    },
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
    close: () => watch.close(),
  }
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
