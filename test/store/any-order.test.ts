// Whatever people do in whatever order: refused changes leave no trace, and a restart finds exactly what there was.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Draft } from '../../src/config/lab-state.ts'
import { ChangeError } from '../../src/errors/change-error.ts'
import { openJournal } from '../../src/store/sqlite-journal.ts'
import { createStore, type Store } from '../../src/store/store.ts'
import { AMER_VNET, CATCH_ALL_RULE, EMEA_RULE, EMEA_VNET, labConfig, onNotice, TUNNEL } from './lab.ts'

type Step = (store: Store) => void

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-order-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const change = (edit: (draft: Draft) => void): Step => {
  return (store) => store.change(edit)
}
const ruleIds = fc.constantFrom(EMEA_RULE, CATCH_ALL_RULE, 'new-1', 'new-2')
const networks = fc.constantFrom('10.0.0.0/8', '192.168.0.0/16', 'nonsense')
const virtualNetworkIds = fc.constantFrom(EMEA_VNET, AMER_VNET, 'nowhere')

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({ id: ruleIds, precedence: fc.integer({ min: -1, max: 3 }), name: fc.string() })
    .map(({ id, precedence, name }) =>
      change((draft) => {
        const before = draft.get('rule', EMEA_RULE) ?? draft.get('rule', CATCH_ALL_RULE)
        if (before !== undefined) draft.put('rule', { ...before, id, precedence, name, rest: { sent: [name] } })
      }),
    ),
  ruleIds.map((id) => change((draft) => void draft.remove('rule', id))),
  fc
    .record({ id: fc.constantFrom('r1', 'r2'), network: networks, virtualNetworkId: virtualNetworkIds })
    .map((route) => change((draft) => draft.put('privateRoute', { ...route, tunnelId: TUNNEL, comment: '' }))),
  virtualNetworkIds.map((id) => change((draft) => void draft.remove('virtualNetwork', id))),
  fc.tuple(fc.constantFrom('LHR', 'AMS', 'XXX'), fc.boolean()).map(
    ([code, down]): Step =>
      (store) =>
        store.setColoDown(code, down),
  ),
  virtualNetworkIds.map(
    (id): Step =>
      (store) =>
        store.chooseVirtualNetwork('bob@example.com', id),
  ),
  fc.integer({ min: -5, max: 5 }).map(
    (hours): Step =>
      (store) =>
        store.setClockOffset(hours * 3_600_000),
  ),
  fc.constant<Step>((store) => store.revert('all')),
  fc.constant<Step>((store) => store.reload(labConfig())),
)

test('refused changes leave no trace, and a restart finds what there was', () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 1, maxLength: 15 }), (sequence) => {
      const place = mkdtempSync(join(folder, 'run-'))
      let machine = 1_700_000_000_000
      const options = () => ({ journal: openJournal(place, { onNotice }), onNotice, machineTime: () => machine++ })
      const store = createStore(labConfig(), options())
      for (const step of sequence) {
        const before = store.current()
        try {
          step(store)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(ChangeError)
          expect(store.current()).toBe(before)
        }
        expect(store.current().revision - before.revision).toBeOneOf([0, 1])
      }
      const { state, revision } = store.current()
      store.close()
      const again = createStore(labConfig(), options())
      expect(again.current().state).toEqual(state)
      expect(again.current().revision).toBe(revision + 1)
      again.close()
    }),
    { numRuns: 40 },
  )
})
