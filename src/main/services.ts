// The services verbs are given. Parts are loaded when a verb asks for them, so that `expr` starts without a network stack.

import type { Services } from '../cli/services.ts'
import { ownVersion } from './own-version.ts'
import { watchStopSignal } from './signals.ts'

export function createServices(): Services {
  return {
    version: ownVersion(),
    readConfig: async (file) => (await import('./read-config.ts')).readConfig(file),
    adviseOn: async (read) => (await import('./advise.ts')).adviseOn(read),
    openDesk: async (options) => (await import('./desk.ts')).openDesk(options),
    startLab: async (options) => (await import('./lab.ts')).startLab({ ...options, ...givenToken() }),
    runUntilSignal: async (lab) => (await import('./run-until-signal.ts')).runUntilSignal(lab),
    certificateAuthority: async (config) => (await import('./certificates.ts')).certificateAuthority(config),
    benchProxy: async (request) => (await import('./bench-proxy.ts')).benchProxyOn(request),
    benchDecide: async (request) => (await import('./bench-decide.ts')).benchDecideOn(request),
    policyTester: async () => (await import('./policy-tests.ts')).createPolicyTester(),
    scenarioDesk: async () => (await import('./scenario/run-scenarios.ts')).createScenarioDesk(),
    connectLab: async (options) => (await import('./lab-client.ts')).connectLab(options),
    addressDesk: async (configFile) => (await import('./addresses.ts')).openAddressDesk(configFile),
    rulesDesk: async () => (await import('./rules-desk.ts')).createRulesDesk(),
    sessionLine: async () => (await import('../log/session-line.ts')).sessionLine,
    stopSignal: watchStopSignal,
    replay: async (request) => (await import('./replay.ts')).replay(request),
    askThroughProxy: async (request) => (await import('./ask-through-proxy.ts')).askThroughProxy(request),
  }
}

function givenToken(): { apiToken?: string } {
  const apiToken = process.env.EGRESSLAB_API_TOKEN
  return apiToken === undefined || apiToken === '' ? {} : { apiToken }
}
