// Test origins that come and go while the lab runs: their destinations stand beside those of the configuration, and each is
// served from before connections find it until after none does.

import type { LabConfig, OriginSpec } from '../config/lab-config.ts'
import type { RawDestination } from '../config/lab-schema.ts'
import type { OpenedSockets } from '../decider/configured-sockets.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { plannedEndpoints } from '../origins/listen-plan.ts'
import type { RunningOrigins } from '../origins/serve.ts'
import type { FollowedConfig } from './follow-config.ts'

interface AddedOriginsOptions {
  readonly followed: FollowedConfig
  /** starts one origin */
  readonly serve: (spec: OriginSpec, destinations: LabConfig['destinations']) => Promise<RunningOrigins>
  readonly ownSockets: OpenedSockets
}

/** The origins that are added now. Replacing them is atomic: where one cannot listen, the others stay as they are. */
export class AddedOrigins {
  readonly #options: AddedOriginsOptions
  /** by what they are and where they listen */
  #running = new Map<string, RunningOrigins>()

  constructor(options: AddedOriginsOptions) {
    this.#options = options
  }

  /** Makes these the destinations beside the configuration's. Throws an InputError; then nothing has changed. */
  async change(destinations: readonly RawDestination[]): Promise<void> {
    const names = new Set(destinations.map(({ name }) => name))
    const fresh = new Map<string, RunningOrigins>()
    let kept = new Map<string, RunningOrigins>()
    try {
      await this.#options.followed.change(destinations, async (next) => {
        const wanted = new Map(
          next.origins.filter(({ name }) => names.has(name)).map((spec) => [keyOf(spec, next), spec]),
        )
        kept = new Map([...this.#running].filter(([key]) => wanted.has(key)))
        for (const [key, spec] of wanted) {
          if (!kept.has(key)) fresh.set(key, await this.#open(spec, next))
        }
      })
    } catch (thrown) {
      await closeAll(fresh.values())
      throw thrown
    }
    const gone = [...this.#running].flatMap(([key, origin]) => (kept.has(key) ? [] : [origin]))
    this.#running = new Map([...kept, ...fresh])
    await closeAll(gone)
  }

  close(): Promise<void> {
    return closeAll(this.#running.values())
  }

  async #open(spec: OriginSpec, { destinations }: LabConfig): Promise<RunningOrigins> {
    const origin = await this.#options.serve(spec, destinations)
    this.#options.ownSockets.origins.push(...origin.listeners.map(({ at }) => at))
    return origin
  }
}

function keyOf(spec: OriginSpec, { destinations }: LabConfig): string {
  const { name, kind, title, allow } = spec
  const at = plannedEndpoints([spec], destinations).map(formatEndpoint)
  return JSON.stringify([name, kind, title, allow.map(({ text }) => text), at])
}

async function closeAll(origins: Iterable<RunningOrigins>): Promise<void> {
  await Promise.all([...origins].map((origin) => origin.close()))
}
