// The lab at a desk: configuration, state and everything that decides, for verbs that ask without traffic. The very same
// parts the proxy uses, minus sockets.

import type { Desk, DeskOptions, HypotheticalFlow } from '../cli/services.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { Issue } from '../errors/issue.ts'
import type { Arrival } from '../proxy/arrival.ts'
import { flowsOf, resolveOptions } from '../proxy/connection.ts'
import { settleTarget } from '../proxy/settle-target.ts'
import { readJournal } from '../store/sqlite-journal.ts'
import type { Store } from '../store/store.ts'
import { openStore } from './open-store.ts'
import { configuredSockets } from './own-endpoints.ts'
import { readConfig } from './read-config.ts'
import { createWorld, type World, type WorldOptions } from './world.ts'

/** Opens a desk on a configuration and, where a folder is named, on what was changed at run time; both stay as they are.
 *  Throws an InputError. */
export async function openDesk({ configFile, state }: DeskOptions, shared: SharedParts = {}): Promise<Desk> {
  const { config, issues } = readConfig(configFile)
  const notices: Issue[] = [...issues]
  const onNotice = (notice: Issue) => void notices.push(notice)
  const store = openStore(config, {
    onNotice,
    ...(state === undefined ? {} : { kept: { journal: readJournal(state, onNotice), folder: state } }),
  })
  const world = await createWorld({ config, store, ownSockets: configuredSockets(config), onNotice, ...shared })
  return deskOver({ config, issues: notices, store, world, close: () => closeAll(world, store) })
}

/** What desks side by side need not each have of their own. */
export type SharedParts = Pick<WorldOptions, 'bundledGeo'>

interface DeskParts {
  /** asked anew each time: it may be reloaded */
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly store: Store
  readonly world: World
  readonly close: () => void
}

/** A desk over parts that somebody else may be using too. */
export function deskOver(parts: DeskParts): Desk {
  const { issues, store, world, close } = parts
  const { ports } = world
  return {
    get config() {
      return parts.config
    },
    issues,
    get snapshot() {
      return store.current()
    },
    flowsOf: async (arrival) => hypotheticalFlows(arrival, store, ports),
    close,
  }
}

async function hypotheticalFlows(arrival: Arrival, store: Store, ports: World['ports']): Promise<HypotheticalFlow[]> {
  const snapshot = store.current()
  const persona = await ports.identify(arrival, snapshot)
  const { target, placeholder } = await settleTarget(ports, arrival.target)
  const signal = AbortSignal.timeout(10_000)
  const candidates = await ports.resolve(target, resolveOptions(arrival, persona, { signal, placeholder, snapshot }))
  return flowsOf(ports, { ...arrival, target }, persona, candidates)
}

function closeAll(world: World, store: Store): void {
  world.close()
  store.close()
}
