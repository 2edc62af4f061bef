// What the store promises of every change: one revision, checked as a whole, or nothing at all.

import { describe, expect, test } from 'vitest'
import type { RuleDocument } from '../../src/config/lab-state.ts'
import { ChangeError } from '../../src/errors/change-error.ts'
import { createStore } from '../../src/store/store.ts'
import { AMER_VNET, CATCH_ALL_RULE, DEFAULT_VNET, EMEA_RULE, EMEA_VNET, labConfig, onNotice, TUNNEL } from './lab.ts'

const NEW_RULE: RuleDocument = {
  id: '00000000-0000-4000-8000-0000000000ff',
  name: 'AMER from Los Angeles',
  description: '',
  enabled: true,
  precedence: 2000,
  action: 'egress',
  filters: ['egress'],
  traffic: `net.vnet_id == "${AMER_VNET}"`,
  identity: '',
  devicePosture: '',
  egress: { ipv4: '203.0.113.40', ipv4Fallback: null, ipv6: '2001:db8:40::/64' },
  rest: {},
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action()
  } catch (thrown) {
    return thrown instanceof ChangeError ? thrown.code : String(thrown)
  }
  return undefined
}

describe('a fresh store', () => {
  test('holds what the configuration declares, and its rules in order of precedence', () => {
    const { account, ruleset, revision } = createStore(labConfig(), { onNotice }).current()
    expect(account.dedicatedIps.map(({ colo }) => colo)).toEqual(['AMS', 'LHR', 'IAD', 'LAX'])
    expect(account.virtualNetworks.map(({ name }) => name)).toEqual(['default', 'vnet-EMEA', 'vnet-AMER'])
    expect(account.colos.get('LHR')?.country).toBe('GB')
    expect(ruleset.rules.map(({ id }) => id)).toEqual([EMEA_RULE, CATCH_ALL_RULE])
    expect(revision).toBe(1)
  })

  test('hands out values nobody can alter', () => {
    const { state, account } = createStore(labConfig(), { onNotice }).current()
    expect(Object.isFrozen(state.rule.get(EMEA_RULE)?.value)).toBe(true)
    expect(Object.isFrozen(state.rule.get(EMEA_RULE)?.value.egress)).toBe(true)
    expect(Object.isFrozen(account)).toBe(true)
  })
})

describe('a change', () => {
  test('makes one revision, whatever number of documents it touches (CF-02)', () => {
    const store = createStore(labConfig(), { onNotice })
    const before = store.current()
    store.change((draft) => {
      draft.put('rule', NEW_RULE)
      draft.put('virtualNetwork', { id: AMER_VNET, name: 'Americas', comment: '', isDefault: false })
      draft.remove('rule', CATCH_ALL_RULE)
    })
    const after = store.current()
    expect(after.revision).toBe(before.revision + 1)
    expect(after.ruleset.rules.map(({ id }) => id)).toEqual([EMEA_RULE, NEW_RULE.id])
    expect(before.ruleset.rules.map(({ id }) => id)).toEqual([EMEA_RULE, CATCH_ALL_RULE])
  })

  test('that fails half way changes nothing and tells nobody', () => {
    const store = createStore(labConfig(), { onNotice })
    const before = store.current()
    const heard: number[] = []
    store.subscribe((snapshot) => heard.push(snapshot.revision))
    const attempt = () =>
      store.change((draft) => {
        draft.remove('rule', EMEA_RULE)
        throw new Error('half way')
      })
    expect(attempt).toThrow('half way')
    expect(store.current()).toBe(before)
    expect(heard).toEqual([])
  })

  test('that changes nothing makes no revision', () => {
    const store = createStore(labConfig(), { onNotice })
    const { revision } = store.current()
    store.change((draft) => draft.remove('rule', 'nobody'))
    store.setColoDown('LHR', false)
    expect(store.current().revision).toBe(revision)
  })

  test('counts versions from 1, and times are of the lab clock', () => {
    let machine = 1_000_000
    const store = createStore(labConfig(), { onNotice, machineTime: () => machine })
    store.change((draft) => draft.put('rule', NEW_RULE))
    store.setClockOffset(60_000)
    machine += 1000
    store.change((draft) => draft.put('rule', { ...NEW_RULE, name: 'renamed' }))
    const stored = store.current().state.rule.get(NEW_RULE.id)
    expect(stored).toMatchObject({ version: 2, createdAt: 1_000_000, updatedAt: 1_061_000, deletedAt: null })
  })

  test('that was made on an older revision can be refused (AP-06)', () => {
    const store = createStore(labConfig(), { onNotice })
    const { revision } = store.current()
    store.setColoDown('LHR', true)
    const attempt = () => store.change((draft) => draft.remove('rule', EMEA_RULE), { expectRevision: revision })
    expect(codeOf(attempt)).toBe('change.revision_differs')
  })

  test('of anything but rules, lists and settings keeps the compiled ruleset', () => {
    const store = createStore(labConfig(), { onNotice })
    const { ruleset } = store.current()
    store.setColoDown('LHR', true)
    store.chooseVirtualNetwork('alice@example.com', EMEA_VNET)
    expect(store.current().ruleset).toBe(ruleset)
  })

  test('is heard by every listener in order, also when one of them fails', () => {
    const notices: string[] = []
    const store = createStore(labConfig(), { onNotice: ({ code }) => notices.push(code) })
    const heard: string[] = []
    store.subscribe(() => {
      throw new Error('deaf')
    })
    const stop = store.subscribe((_snapshot, { touched }) =>
      heard.push(touched.map(({ kind, action }) => `${kind} ${action}`).join()),
    )
    store.change((draft) => draft.put('rule', NEW_RULE))
    store.change((draft) => draft.put('rule', { ...NEW_RULE, name: 'renamed' }))
    store.change((draft) => draft.remove('rule', NEW_RULE.id))
    stop()
    store.setColoDown('LHR', true)
    expect(heard).toEqual(['rule created', 'rule updated', 'rule deleted'])
    expect(notices).toContain('state.listener_failed')
  })
})

describe('a change is refused, and nothing of it happens, when', () => {
  const tunnel = { id: TUNNEL, name: 'office', configSource: 'cloudflare' } as const
  const route = { id: 'r1', network: '10.0.0.0/8', virtualNetworkId: EMEA_VNET, tunnelId: TUNNEL, comment: '' }
  const unowned = { ipv4: '192.0.2.1', ipv4Fallback: null, ipv6: '2001:db8:40::/64' }
  const cases: [string, string, (store: ReturnType<typeof createStore>) => void][] = [
    [
      '[R3] a precedence is taken',
      'change.precedence_taken',
      (store) => store.change((draft) => draft.put('rule', { ...NEW_RULE, precedence: 1000 })),
    ],
    [
      '[R3] a precedence is taken by a rule of another type',
      'change.precedence_taken',
      (store) =>
        store.change((draft) => {
          draft.put('rule', { ...NEW_RULE, id: 'dns', action: 'block', filters: ['dns'], egress: null })
          draft.put('rule', NEW_RULE)
        }),
    ],
    [
      'a precedence is negative',
      'change.invalid',
      (store) => store.change((draft) => draft.put('rule', { ...NEW_RULE, precedence: -1 })),
    ],
    [
      '[R5] the account does not own the primary address',
      'change.address_not_owned',
      (store) => store.change((draft) => draft.put('rule', { ...NEW_RULE, egress: unowned })),
    ],
    [
      '[R6] the account does not own the fallback address',
      'change.address_not_owned',
      (store) =>
        store.change((draft) =>
          draft.put('rule', { ...NEW_RULE, egress: { ...unowned, ipv4: '203.0.113.40', ipv4Fallback: '192.0.2.1' } }),
        ),
    ],
    [
      '[R7] the account does not own the range',
      'change.address_not_owned',
      (store) =>
        store.change((draft) =>
          draft.put('rule', { ...NEW_RULE, egress: { ...unowned, ipv4: '203.0.113.40', ipv6: '2001:db8:41::/64' } }),
        ),
    ],
    [
      'an egress rule has another action',
      'change.invalid_action',
      (store) => store.change((draft) => draft.put('rule', { ...NEW_RULE, action: 'block' })),
    ],
    [
      'a name of a virtual network is taken',
      'change.name_taken',
      (store) =>
        store.change((draft) =>
          draft.put('virtualNetwork', { id: 'v', name: 'vnet-EMEA', comment: '', isDefault: false }),
        ),
    ],
    [
      'there would be two default virtual networks',
      'change.invalid',
      (store) =>
        store.change((draft) => draft.put('virtualNetwork', { id: 'v', name: 'v', comment: '', isDefault: true })),
    ],
    [
      'there would be no default virtual network',
      'change.invalid',
      (store) => store.change((draft) => draft.remove('virtualNetwork', DEFAULT_VNET)),
    ],
    [
      'a network is routed twice in one virtual network',
      'change.route_exists',
      (store) =>
        store.change((draft) => {
          draft.put('privateRoute', route)
          draft.put('privateRoute', { ...route, id: 'r2' })
        }),
    ],
    [
      'a tunnel still carries a route',
      'change.invalid',
      (store) =>
        store.change((draft) => {
          draft.put('privateRoute', route)
          draft.remove('tunnel', TUNNEL)
        }),
    ],
    [
      'a tunnel name is taken',
      'change.name_taken',
      (store) => store.change((draft) => draft.put('tunnel', { ...tunnel, id: 't2' })),
    ],
    ['a data center is unknown', 'change.not_found', (store) => store.setColoDown('XXX', true)],
    [
      'a virtual network to choose is unknown',
      'change.not_found',
      (store) => store.chooseVirtualNetwork('bob@example.com', 'nowhere'),
    ],
    [
      'a source network is too wide',
      'change.invalid',
      (store) =>
        store.change((draft) =>
          draft.put('proxyEndpoint', { id: 'p', kind: 'ip', name: 'p', subdomain: 'p', networks: ['10.0.0.0/7'] }),
        ),
    ],
    [
      'a placeholder range is of the other family',
      'change.invalid',
      (store) =>
        store.change((draft) =>
          draft.put('placeholderSubnet', { id: 'v4', uuid: 'u', name: '', comment: '', network: '2001:db8::/64' }),
        ),
    ],
  ]
  test.each(cases)('%s', (_name, code, action) => {
    const store = createStore(labConfig(), { onNotice })
    const before = store.current()
    expect(codeOf(() => action(store))).toBe(code)
    expect(store.current()).toBe(before)
  })
})

describe("a person's choice of virtual network", () => {
  test('is found by email in any case, and forgotten with the virtual network', () => {
    const store = createStore(labConfig(), { onNotice })
    store.chooseVirtualNetwork('Bob@Example.com', AMER_VNET)
    expect(store.chosenVirtualNetwork('bob@example.com')).toBe(AMER_VNET)
    store.change((draft) => draft.remove('virtualNetwork', AMER_VNET))
    expect(store.chosenVirtualNetwork('bob@example.com')).toBeUndefined()
  })

  test('can be taken back', () => {
    const store = createStore(labConfig(), { onNotice })
    store.chooseVirtualNetwork('bob@example.com', AMER_VNET)
    store.chooseVirtualNetwork('bob@example.com', null)
    expect(store.chosenVirtualNetwork('bob@example.com')).toBeUndefined()
  })
})

test('a data center goes down and comes back', () => {
  const store = createStore(labConfig({ colosDown: ['AMS'] }), { onNotice })
  store.setColoDown('LHR', true)
  expect([...store.current().account.colosDown].sort()).toEqual(['AMS', 'LHR'])
  store.setColoDown('AMS', false)
  expect([...store.current().account.colosDown]).toEqual(['LHR'])
})

test('what is back to the usual is no difference from the file any more', () => {
  const store = createStore(labConfig({ colosDown: ['AMS'] }), { onNotice })
  store.setColoDown('LHR', true)
  store.chooseVirtualNetwork('bob@example.com', AMER_VNET)
  store.setClockOffset(1000)
  expect(store.overrides()).toHaveLength(3)
  store.setColoDown('LHR', false)
  store.chooseVirtualNetwork('bob@example.com', null)
  store.setClockOffset(0)
  expect(store.overrides()).toEqual([])
  store.setColoDown('AMS', false)
  expect(store.overrides()).toEqual([{ kind: 'colo', id: 'AMS', change: 'changed', fileMovedOn: false }])
})
