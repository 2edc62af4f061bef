// A whole lab for one test file: free ports, stand-ins of its own, nothing on disk, nothing on the terminal.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LabOptions, type StartedLab, startLab } from '../../src/lab/start-lab.ts'
import { createEventLog, type EventLog } from '../../src/log/event-log.ts'
import { ownNetwork } from './own-network.ts'

export interface PrivateLab {
  readonly lab: StartedLab
  /** `http://127.0.0.1:PORT` of the first listener */
  readonly proxy: string
  readonly folder: string
  /** what the lab said of itself */
  readonly said: () => string
  close(): Promise<void>
}

/** The test file's own stand-ins. */
export const STAND_INS = ownNetwork()

/** Starts it, on the shipped configuration unless said otherwise. */
export async function startPrivateLab(options: Partial<LabOptions> = {}): Promise<PrivateLab> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-'))
  let text = ''
  const events: EventLog = createEventLog({
    form: 'line',
    write: (more) => {
      text += more
    },
  })
  const lab = await startLab({
    configFile: 'config/lab.yaml',
    state: folder,
    ephemeral: true,
    portsFromZero: true,
    standInNetwork: STAND_INS,
    events,
    ...options,
  })
  return {
    lab,
    proxy: `http://127.0.0.1:${lab.listeners[0]?.port}`,
    folder,
    said: () => text,
    close: async () => {
      await lab.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
