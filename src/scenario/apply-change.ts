// Applies the changes of a scenario that change the lab's state, as the API would, and describes each in a clause.

import type { Store } from '../store/store.ts'
import type { BackendChange } from './backend.ts'

type StateChange = Exclude<BackendChange, { kind: 'exit' | 'stand-in' }>

/** Makes the change; answers it in words. */
export function applyChange(store: Store, change: StateChange): string {
  switch (change.kind) {
    case 'colo': {
      store.setColoDown(change.code, !change.up)
      const city = store.current().account.colos.get(change.code)?.city ?? ''
      return `${change.code} (${city}) ${change.up ? 'is up again' : 'goes down'}`
    }
    case 'clock-advance':
      shiftClock(store, change.ms)
      return `the lab's clock advances by ${change.written} to ${timeOf(store)}`
    case 'clock-set':
      shiftClock(store, change.time - store.now())
      return `the lab's clock is set to ${timeOf(store)}`
    case 'vnet-use': {
      const network = networkNamed(store, change.vnet)
      store.chooseVirtualNetwork(change.user, network?.id ?? null)
      return `${change.user} chooses ${network?.name ?? change.vnet}`
    }
    case 'rule': {
      store.change((draft) => {
        const rule = draft.all('rule').find(({ id, name }) => name === change.rule || id === change.rule.toLowerCase())
        if (rule !== undefined) draft.put('rule', { ...rule, enabled: change.enabled })
      })
      return `rule \`${change.rule}\` is switched ${change.enabled ? 'on' : 'off'}`
    }
  }
}

function shiftClock(store: Store, byMs: number): void {
  const offset = store.current().state.clock.get('lab')?.value.offsetMs ?? 0
  store.setClockOffset(offset + byMs)
}

function timeOf(store: Store): string {
  return new Date(store.now()).toISOString().replace('.000Z', 'Z')
}

function networkNamed(store: Store, text: string) {
  return store.current().account.virtualNetworks.find(({ id, name }) => name === text || id === text.toLowerCase())
}
