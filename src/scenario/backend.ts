// What a scenario runs on: it applies changes and reports the outcome of requests. A lab with its proxy is one, the decision
// alone is another; both change the lab's state as the API would.

import type { ConnectionFate, Observation, ScenarioClient } from '../analysis/scenario-timeline.ts'
import type { Store } from '../store/store.ts'
import type { ScenarioChange, ScenarioRequestStep } from './scenario.ts'

/** What a change meant for one held connection. */
export interface HeldConnectionFate {
  readonly request: ScenarioRequestStep
  readonly who: ScenarioClient
  readonly egress: string
  readonly fate: ConnectionFate
  readonly why: string
}

/** A change that is one: a note changes nothing. */
export type BackendChange = Exclude<ScenarioChange, { kind: 'note' }>

export interface ScenarioBackend {
  readonly mode: 'proxy' | 'decide'
  /** lab time, epoch ms */
  now(): number
  /** Applies a change; resolves to its description, a clause, and the fates of held connections that depend on it. */
  apply(change: BackendChange): Promise<{ readonly what: string; readonly held: readonly HeldConnectionFate[] }>
  send(request: ScenarioRequestStep): Promise<Observation>
  /** Opens a connection that stays; `held` is false where that did not work. */
  hold(request: ScenarioRequestStep): Promise<{ readonly observation: Observation; readonly held: boolean }>
  close(): Promise<void>
}

/** Egress addresses that fail by themselves and work again; `error` absent: it works. */
export type OutageOfEgress = (
  egress: string,
  error: { readonly code: string; readonly message: string } | undefined,
) => void

/** How time passes: `until` resolves when the moment (ms from the beginning) has come. */
export interface Pace {
  until(atMs: number): Promise<void>
}

/** The proxy user name of a request, with what is chosen by it. */
export function loginOf({ user = '', vnet, sourceIp, device, family }: ScenarioRequestStep): string {
  const chosen = Object.entries({ vnet, src: sourceIp, device, family }).filter(([, value]) => value !== undefined)
  return [user, ...chosen.map(([key, value]) => `${key}=${value}`)].join(';')
}

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
