// The services verbs are given. Parts are loaded when a verb asks for them, so that `expr` starts without a network stack.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Services } from '../cli/services.ts'

export function createServices(): Services {
  return {
    version: ownVersion(),
    readConfig: async (file) => (await import('./read-config.ts')).readConfig(file),
    openDesk: async (options) => (await import('./desk.ts')).openDesk(options),
    startLab: async (options) => (await import('./lab.ts')).startLab(options),
    runUntilSignal: async (lab) => (await import('./run-until-signal.ts')).runUntilSignal(lab),
    certificateAuthority: async (config) => (await import('./certificates.ts')).certificateAuthority(config),
    askThroughProxy: async (request) => (await import('./ask-through-proxy.ts')).askThroughProxy(request),
  }
}

function ownVersion(): string {
  const file = join(import.meta.dirname, '..', '..', 'package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
