// The same rules as casbin policies under a priority effect: a policy row carries its rule's number, and the matcher asks a
// host function that runs the conditions. casbin walks the rows in a row and stops at the first that matches.

import { newEnforcer, newModelFromString } from 'casbin'
import type { Flow } from '../../../src/policy/flow.ts'
import { closureTests } from './closures.ts'
import { type PlainFacts, plainFacts, type Rival } from './rival.ts'

const MODEL = `
[request_definition]
r = flow
[policy_definition]
p = rule, eft
[policy_effect]
e = priority(p.eft) || deny
[matchers]
m = matches(p.rule, r.flow)
`

export const casbin: Rival = {
  name: 'casbin',
  how: 'one policy row a rule, priority effect; the conditions themselves run as a host function',
  async prepare(world) {
    const enforcer = await newEnforcer(newModelFromString(MODEL))
    const tests = closureTests(world)
    await enforcer.addPolicies(world.rules.map((_, at) => [String(at), 'allow']))
    let facts: PlainFacts
    await enforcer.addFunction('matches', (rule: string, flow: Flow) => tests[Number(rule)]?.(facts, flow) === true)
    return async (flow) => {
      facts = plainFacts(flow)
      const [allowed, explanation] = await enforcer.enforceEx(flow)
      return allowed ? Number(explanation[0]) : -1
    }
  },
}
