// The parts of the lab that verbs ask for, each loaded when it is first needed: the composition root, beside the file that begins the
// process. Nothing else knows every concrete class.

import type { Services } from './cli/verb.ts'
import { watchStopSignal } from './lab/signals.ts'
import { ownVersion } from './lab/start-lab.ts'

export function createServices(): Services {
  return {
    version: ownVersion(),
    readConfig: async (file) => (await import('./decider/read-config.ts')).readConfig(file),
    adviseOn: async (read) => (await import('./decider/advise.ts')).adviseOn(read),
    openDesk: async (options) => (await import('./decider/decider.ts')).openDecider(options),
    startLab: async (options) => (await import('./lab/start-lab.ts')).startLab({ ...options, ...givenToken() }),
    runUntilSignal: async (lab) => (await import('./lab/signals.ts')).runUntilSignal(lab),
    certificateAuthority: async (config) => (await import('./lab/certificates.ts')).certificateAuthority(config),
    benchProxy: async (request) => (await import('./load-test/bench-proxy.ts')).benchProxyOn(request),
    benchDecide: async (request) => (await import('./load-test/bench-decide.ts')).benchDecideOn(request),
    policyTester: async () => (await import('./policy-tests/run-policy-tests.ts')).createPolicyTester(),
    scenarioDesk: async () => (await import('./scenario/run-scenarios.ts')).createScenarioRunner(),
    connectLab: async (options) => (await import('./lab/lab-client.ts')).connectLab(options),
    addressDesk: async (configFile) =>
      (await import('./host-addresses/host-addresses.ts')).openHostAddresses(configFile),
    rulesDesk: async () => (await import('./rules-sync/rules-sync.ts')).createRulesSync(),
    sessionLine: async () => (await import('./log/session-line.ts')).sessionLine,
    stopSignal: watchStopSignal,
    replay: async (request) => (await import('./replay/replay.ts')).replay(request),
    askThroughProxy: async (request) => (await import('./decider/verify-egress.ts')).askThroughProxy(request),
  }
}

function givenToken(): { apiToken?: string } {
  const apiToken = process.env.EGRESSLAB_API_TOKEN
  return apiToken === undefined || apiToken === '' ? {} : { apiToken }
}
