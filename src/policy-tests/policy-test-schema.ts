// The one description of a file of policy tests; config/policy-test.schema.json is made from it (scripts/schemas.ts).

import type { Static } from 'typebox'
import { INVARIANT_LIST } from '../config/read-invariants.ts'
import { anyText, block, flag, listOf, nullable, oneOf, optional, text, wholeFile } from '../config/schema.ts'

const FLOW = block('One hypothetical connection, in the terms of `egresslab explain`.', {
  destination: optional(
    text(
      'Where to: a URL, `host:port`, `ip:port` or `[ipv6]:port`. Of a name with several addresses the one tried first is tested; `family` picks.',
      { examples: ['https://bank.saas.test/', 'espn.com:443', '198.51.100.20:443'] },
    ),
  ),
  user: optional(text('Who connects, by mail address. Default: nobody in particular.', { format: 'user-email' })),
  vnet: optional(anyText('Virtual network chosen with the connection, by name or id.')),
  source_ip: optional(text("The device's public address.", { format: 'ip-address' })),
  device: optional(anyText('The device, by name or id.')),
  protocol: optional(oneOf('Transport.', ['tcp', 'udp'])),
  endpoint: optional(anyText('Proxy endpoint, or listener, the connection comes through: name or host.')),
  family: optional(oneOf('Address family to use.', [4, 6])),
  colos_down: optional(
    listOf(
      'Data centers to take for down beside those that are.',
      text("A data center's code.", { format: 'colo-code' }),
    ),
  ),
})

const EXPECT = block(
  'What has to be decided; any part of it, the rest is not looked at.',
  {
    outcome: optional(
      oneOf(
        'How it leaves: `dedicated` and `dedicated-fallback` by a rule, `balanced` without one, `default` from shared egress, `exempt` from policy, `unroutable` not at all.',
        ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'unroutable'],
      ),
    ),
    rule: optional(nullable(text('The rule that decided, by name or id; `null`: no rule did.'))),
    egress_ip: optional(
      nullable(
        text('The address it leaves from, or a network that address is in; `null`: it does not leave.', {
          format: 'ip-network',
          examples: ['203.0.113.10', '2001:db8:10::/64'],
        }),
      ),
    ),
    egress_in: optional(
      listOf(
        'It leaves from one of these addresses or networks.',
        text('An address or a network.', { format: 'ip-network' }),
        { minItems: 1, examples: [['203.0.113.20', '203.0.113.30']] },
      ),
    ),
    reason: optional(text('Text that the reason has in it.')),
    ingress_colo: optional(text('Data center it comes in at.', { format: 'colo-code' })),
    physical_colo: optional(
      nullable(text('Data center it physically leaves from; `null`: none.', { format: 'colo-code' })),
    ),
    logical_colo: optional(nullable(text('Data center of the egress address; `null`: none.', { format: 'colo-code' }))),
    geolocation: optional(
      block(
        'Where sites take it to be.',
        {
          city: optional(text('City, as the geo databases will say.')),
          country: optional(text('Country, ISO 3166 alpha-2.', { format: 'country-code' })),
        },
        { minProperties: 1 },
      ),
    ),
    fallback: optional(flag("Whether it leaves from a rule's fallback address.")),
    bind: optional(text('The local address really bound.', { format: 'ip-address' })),
    exempt: optional(
      oneOf('Why no rule is asked.', ['private-route', 'hostname-route', 'gateway-dns', 'proxying-off']),
    ),
    let_in: optional(flag('Whether the allowlist of the destination, a test SaaS, lets it in.')),
    error: optional(
      text('The connection fails before a decision, with this code of docs/errors.md.', {
        examples: ['guard.forbidden_destination'],
      }),
    ),
  },
  { minProperties: 1 },
)

const CASE = block('One connection.', {
  name: optional(text('What the case promises. Default: who goes where.')),
  flow: FLOW,
  expect: EXPECT,
})

/** A whole file of policy tests. */
export const POLICY_TESTS = wholeFile(
  'policy-test.schema.json',
  'egresslab policy tests',
  'A table of connections and what has to be decided for each, run by `egresslab test`. Nothing is connected to.',
  {
    config: text(
      'The configuration the cases are for, relative to this file. `egresslab test -c FILE` takes another one for all.',
      { examples: ['../lab.yaml'] },
    ),
    defaults: optional(FLOW),
    cases: optional(listOf('The table, one connection a row.', CASE, { minItems: 1 })),
    invariants: optional(INVARIANT_LIST),
  },
)

export type RawPolicyTests = Static<typeof POLICY_TESTS>
export type RawCase = Static<typeof CASE>
export type RawFlow = Static<typeof FLOW>
