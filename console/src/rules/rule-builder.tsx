// The common shapes of rules as a form: who, where to, on which network. Writes the expressions; the egress is the editor's.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { SelectField, TextField } from '../ui/select.tsx'
import type { RuleDraft } from './rule-changes.ts'
import type { Vocabulary } from './vocabulary.ts'

const WHERE = [
  ['any', 'anywhere'],
  ['domain', 'a domain and its subdomains'],
  ['host', 'one host'],
  ['network', 'an address or network'],
  ['port', 'a port'],
  ['list', 'a list'],
] as const

const EXAMPLES: Readonly<Record<string, string>> = {
  domain: 'saas.example',
  host: 'www.saas.example',
  network: '198.51.100.0/24',
  port: '22',
}

interface Shape {
  readonly who: string
  readonly where: string
  readonly what: string
  readonly network: string
}

export interface RuleBuilderProps {
  readonly known: Vocabulary
  readonly listTypes: ReadonlyMap<string, string>
  readonly onWrite: (change: Pick<RuleDraft, 'traffic' | 'identity'>) => void
}

export function RuleBuilder({ known, listTypes, onWrite }: RuleBuilderProps): JSX.Element {
  const [shape, setShape] = useState<Shape>({ who: '', where: 'any', what: '', network: '' })
  const set = (change: Partial<Shape>) => setShape({ ...shape, ...change })
  const lists = known.lists.filter(({ id }) => /^(?:IP|DOMAIN|HOSTNAME)$/.test(listTypes.get(id) ?? ''))
  const isReady = shape.where === 'any' || shape.what.trim() !== ''
  return (
    <details class="builder">
      <summary>Write the expressions for me</summary>
      <div class="stack tight">
        <div class="fields">
          <SelectField
            label="Who"
            value={shape.who}
            options={[
              ['', 'anybody'],
              ...known.groups.map((group) => [`group ${group}`, `group ${group}`] as const),
              ...known.people.map((email) => [`person ${email}`, email] as const),
            ]}
            onChange={(who) => set({ who })}
          />
          <SelectField
            label="Where to"
            value={shape.where}
            options={lists.length === 0 ? WHERE.slice(0, -1) : WHERE}
            onChange={(where) => set({ where, what: where === 'list' ? (lists[0]?.id ?? '') : '' })}
          />
          {shape.where === 'list' && (
            <SelectField
              label="List"
              value={shape.what}
              options={lists.map(({ id, name }) => [id, name] as const)}
              onChange={(what) => set({ what })}
            />
          )}
          {shape.where !== 'list' && shape.where !== 'any' && (
            <TextField
              label="Which"
              value={shape.what}
              placeholder={EXAMPLES[shape.where] ?? ''}
              onInput={(what) => set({ what })}
            />
          )}
          <SelectField
            label="On the virtual network"
            value={shape.network}
            options={[['', 'any'], ...known.networks.map(({ id, name }) => [id, name] as const)]}
            onChange={(network) => set({ network })}
          />
        </div>
        <div class="row">
          <button type="button" class="small" disabled={!isReady} onClick={() => onWrite(written(shape, listTypes))}>
            Write
          </button>
          <span class="small muted">Replaces traffic and identity.</span>
        </div>
      </div>
    </details>
  )
}

/** The expressions for a shape. */
export function written(shape: Shape, listTypes: ReadonlyMap<string, string>): Pick<RuleDraft, 'traffic' | 'identity'> {
  const traffic = [placeTest(shape, listTypes), shape.network === '' ? '' : `net.vnet_id == ${quote(shape.network)}`]
  return { traffic: traffic.filter((test) => test !== '').join(' and '), identity: personTest(shape.who) }
}

function personTest(who: string): string {
  if (who === '') return ''
  const [kind, name] = [who.slice(0, who.indexOf(' ')), who.slice(who.indexOf(' ') + 1)]
  return kind === 'group' ? `any(identity.groups.name[*] == ${quote(name)})` : `identity.email == ${quote(name)}`
}

function placeTest({ where, what: raw }: Shape, listTypes: ReadonlyMap<string, string>): string {
  const what = raw.trim()
  if (where === 'domain') return `any(net.fqdn.domains[*] == ${quote(what.toLowerCase())})`
  if (where === 'host') return `net.fqdn.host == ${quote(what.toLowerCase())}`
  if (where === 'network') return `net.dst.ip in {${what}}`
  if (where === 'port') return `net.dst.port == ${what}`
  if (where !== 'list') return ''
  return listTypes.get(what) === 'IP' ? `net.dst.ip in $${what}` : `any(net.fqdn.domains[*] in $${what})`
}

function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
