// The labs the tour plays in: the one that is running already where its proxy answers like ours, else a private one in this
// process on free ports and stand-ins of its own, with its state in memory.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/decider/read-config.ts'
import { reserveLoopbackNetwork } from '../../src/lab/loopback-network.ts'
import { type StartedLab, startLab } from '../../src/lab/start-lab.ts'
import { curl } from '../../test/support/curl.ts'
import { portRewriter } from '../../test/support/example-proof.ts'
import { originFacts, SHIPPED_CONFIG } from './scenes.ts'

export interface TourLab {
  /** the proxy as a URL */
  readonly proxy: string
  readonly isPrivate: boolean
  readonly close: () => Promise<void>
}

/** The shipped lab where it runs; anything else, or everything when asked to, as a private lab. Throws an InputError where
 *  that cannot start. */
export async function openTourLab(config: string, alwaysPrivate: boolean): Promise<TourLab> {
  const running = config === SHIPPED_CONFIG && !alwaysPrivate ? await runningLab() : undefined
  return running ?? privateLab(config)
}

/** Asks the shipped configuration's proxy for an echo site as a user of that configuration: only a lab of ours answers with
 *  a decision. */
async function runningLab(): Promise<TourLab | undefined> {
  const { config } = readConfig(SHIPPED_CONFIG)
  const [listener] = config.listeners
  if (listener === undefined) return undefined
  const proxy = urlOf(listener)
  const answer = await curl('-m', '3', '-x', proxy, '-U', 'bob@example.com:lab-bob', 'http://ifconfig.me/json')
  return originFacts(answer) === undefined ? undefined : { proxy, isPrivate: false, close: async () => {} }
}

/** A lab of this process with what people write of its file made to fit it: other ports, other stand-ins. */
export interface PrivateTourLab extends TourLab {
  readonly lab: StartedLab
  /** puts the real ports into a command */
  readonly rewrite: (command: string) => string
  /** puts the real stand-ins into what a command is to print */
  readonly promised: (output: string) => string
}

/** Throws an InputError where it cannot start. */
export async function privateLab(configFile: string): Promise<PrivateTourLab> {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-tour-'))
  const { network: standInNetwork, release } = await reserveLoopbackNetwork()
  const lab = await startLab({ configFile, state, ephemeral: true, portsFromZero: true, standInNetwork })
  const [listener] = lab.listeners
  const { listeners, api } = readConfig(configFile).config
  return {
    proxy: urlOf(listener ?? { host: '127.0.0.1', port: 0 }),
    isPrivate: true,
    lab,
    rewrite: portRewriter([...listeners, api], [...lab.listeners, lab.api]),
    promised: (output) => output.replaceAll('from 127.0.', `from ${standInNetwork.replace('0.0/16', '')}`),
    close: async () => {
      await lab.close()
      release()
      rmSync(state, { recursive: true, force: true })
    },
  }
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
