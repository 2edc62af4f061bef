// The one description of a scenario file; scenarios/scenario.schema.json is made from it (scripts/schemas.ts).

import type { Static } from 'typebox'
import { block, flag, list, listOf, nullable, oneOf, optional, or, text, whole, wholeFile } from '../config/schema.ts'

const USER = text('Who goes there, by mail address.', { format: 'user-email' })
const VNET = text('Virtual network, by name or id.')
const VISIT = {
  destination: optional(
    text('Where to: an `http://` or `https://` URL, or `host:port` (plain HTTP).', {
      examples: ['http://bank.saas.test/', 'espn.com:80'],
    }),
  ),
  user: optional(USER),
  vnet: optional(VNET),
  source_ip: optional(text("The device's public address.", { format: 'ip-address' })),
  device: optional(text('The device, by name or id.')),
  endpoint: optional(text('Proxy endpoint, or listener, it goes through: name or host.')),
  family: optional(oneOf('Address family to use.', [4, 6])),
}

const DEFAULTS = block("Somebody's request to a destination, in the terms of `egresslab explain`.", VISIT)

const TRAFFIC = block('Visits again and again (`every`), or one connection that stays open (`hold`).', {
  ...VISIT,
  every: optional(text('Time from one visit to the next.', { format: 'period', examples: ['5s'] })),
  hold: optional(oneOf('One connection that stays open; where it is reset, it connects again at once.', [true])),
  from: text('When it begins.', { format: 'moment', default: '0s' }),
  until: optional(text('When visits end. Default: with the scenario.', { format: 'moment' })),
})

const ROW = block('One visit, made at that moment, and any part of what must come of it.', {
  name: optional(text('What the row promises. Default: who goes where.')),
  ...VISIT,
  outcome: optional(
    oneOf('How it leaves.', ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'unroutable']),
  ),
  egress_ip: optional(
    nullable(
      text('The address it leaves from, or a network that address is in; `null`: it does not leave.', {
        format: 'ip-network',
      }),
    ),
  ),
  rule: optional(nullable(text('The rule that decided, by name or id; `null`: no rule did.'))),
  reason: optional(text('Text that the reason has in it.')),
  ingress_colo: optional(text('Data center it comes in at.', { format: 'colo-code' })),
  physical_colo: optional(
    nullable(text('Data center it physically leaves from; `null`: none.', { format: 'colo-code' })),
  ),
  logical_colo: optional(nullable(text('Data center of the egress address; `null`: none.', { format: 'colo-code' }))),
  status: optional(
    whole('The HTTP status the user gets, from the site or from the proxy.', { minimum: 100, maximum: 599 }),
  ),
  seen_in: optional(
    text("The country the site takes the visitor to be in at that time of the lab's clock.", {
      format: 'country-code',
    }),
  ),
  let_in: optional(flag('Whether the allowlist of the destination lets it in.')),
  error: optional(text('The connection fails with this code of docs/errors.md.')),
})

const STEP = block(
  'What happens at one moment.',
  {
    at: text('When, counted from the beginning.', { format: 'moment', examples: ['5s', '1.5m'] }),
    note: optional(text('What is going on, for the report.')),
    colo_down: optional(
      or(
        'string',
        block(
          'Takes a data center out. New connections move at once; open ones that depend on it go on, or are cut with `connections: reset`.',
          {
            colo: text('Code of the data center.', { format: 'colo-code' }),
            connections: oneOf('What becomes of open connections that depend on it.', ['keep', 'reset'], {
              default: 'keep',
            }),
          },
        ),
        { format: 'colo-code' },
      ),
    ),
    colo_up: optional(text('Puts a data center back.', { format: 'colo-code' })),
    clock: optional(
      block(
        "Puts the lab's clock forward, or sets it. Steps go on being counted from the beginning.",
        {
          advance: optional(text('By how much.', { format: 'period', examples: ['14d'] })),
          set: optional(text('To when.', { format: 'date-time' })),
        },
        { minProperties: 1, maxProperties: 1 },
      ),
    ),
    vnet_use: optional(
      block("A user's choice of virtual network, from the next connection on.", {
        user: USER,
        vnet: VNET,
      }),
    ),
    rule: optional(
      block(
        'Switches a rule on or off, by its name or id.',
        {
          enable: optional(text('The rule to switch on.')),
          disable: optional(text('The rule to switch off.')),
        },
        { minProperties: 1, maxProperties: 1 },
      ),
    ),
    exit_down: optional(
      text(
        'The exit that realises this dedicated address or range (`shared`: shared egress) fails by itself. The scenario plays the exits.',
      ),
    ),
    exit_up: optional(text('That exit works again.')),
    stand_in_down: optional(
      text('This machine loses the stand-ins of this dedicated address or range.', { format: 'ip-network' }),
    ),
    stand_in_up: optional(text('It has them again.', { format: 'ip-network' })),
    expect: optional(listOf('A table of visits and what must come of each.', ROW, { minItems: 1 })),
    expect_connections: optional(
      block(
        'How many held connections are open now, and how many were reset so far.',
        {
          open: optional(whole('Held connections that are open.', { minimum: 0 })),
          reset: optional(whole('Held connections that were reset or lost so far.', { minimum: 0 })),
        },
        { minProperties: 1 },
      ),
    ),
  },
  { minProperties: 2 },
)

/** A whole scenario. */
export const SCENARIO = wholeFile(
  'scenario.schema.json',
  'egresslab scenario',
  'What happens to a lab in the course of time, who goes where meanwhile, and what must come of it. Played by `egresslab scenario`.',
  {
    name: text('What it shows, in a few words.', { examples: ['Los Angeles goes down'] }),
    config: text('The configuration it plays in, relative to this file.', { examples: ['../config/lab.yaml'] }),
    start: optional(
      text("The lab's time at the beginning. Default: the machine's.", {
        format: 'date-time',
        examples: ['2027-01-01T00:00:00Z'],
      }),
    ),
    duration: optional(
      text('How long it takes. Default: up to the last step.', { format: 'moment', examples: ['60s'] }),
    ),
    defaults: optional(DEFAULTS),
    traffic: list('Who goes where while it plays.', TRAFFIC),
    steps: listOf(
      'What happens when. What a step changes is changed first; its expectations are looked at last, after the traffic of that moment.',
      STEP,
      { minItems: 1 },
    ),
  },
)

export type RawScenario = Static<typeof SCENARIO>
export type RawVisit = Static<typeof DEFAULTS>
export type RawTraffic = Static<typeof TRAFFIC>
export type RawRow = Static<typeof ROW>
export type RawStep = Static<typeof STEP>
