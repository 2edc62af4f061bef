// What rules speak of: data centers, people, virtual networks and lists, read and, as far as the API goes, changed.

import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Colo, Network, Person } from '../api/shapes.ts'
import { location } from '../router.ts'
import { ColoSwitch, switchColo } from '../ui/colo-switch.tsx'
import { plural, sentence } from '../ui/format.ts'
import { Empty, Notice, Waiting } from '../ui/notice.tsx'
import { useAccountPath, useResource } from '../ui/resource.ts'
import { SelectField, TextField } from '../ui/select.tsx'
import { ForRole } from '../who.tsx'

const TABS = [
  ['colos', 'Data centers'],
  ['people', 'People'],
  ['networks', 'Virtual networks'],
  ['lists', 'Lists'],
] as const
type Tab = (typeof TABS)[number][0]

/** Makes a change; the page shows what became of it. */
type Attempt = (action: () => Promise<unknown>) => void

interface TabProps {
  readonly account: string
  readonly attempt: Attempt
}

export function AccountView(): JSX.Element {
  const asked = location.value.query.get('of')
  const tab = TABS.find(([name]) => name === asked)?.[0] ?? 'colos'
  const account = useAccountPath()
  const [failure, setFailure] = useState<string>()
  const attempt: Attempt = (action) => {
    setFailure(undefined)
    action().catch((thrown: unknown) => setFailure(sentence(wordsOf(thrown))))
  }
  return (
    <>
      <div class="view-head">
        <h1>Account</h1>
        <nav class="tabs" aria-label="Parts of the account">
          {TABS.map(([name, words]) => (
            <a key={name} href={`/account?of=${name}`} aria-current={name === tab ? 'page' : undefined}>
              {words}
            </a>
          ))}
        </nav>
      </div>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      {account.value === undefined ? (
        <Waiting for={account} what="the account" />
      ) : (
        <Part tab={tab} account={account.value} attempt={attempt} />
      )}
    </>
  )
}

function Part({ tab, ...rest }: TabProps & { readonly tab: Tab }): JSX.Element {
  if (tab === 'people') return <People {...rest} />
  if (tab === 'networks') return <Networks {...rest} />
  if (tab === 'lists') return <Lists {...rest} />
  return <Colos {...rest} />
}

function TableCard({
  label,
  heads,
  children,
}: {
  label: string
  heads: readonly string[]
  children: ComponentChildren
}) {
  return (
    <section class="card scroll-x table-card" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}

function Colos({ attempt }: TabProps): JSX.Element {
  const colos = useResource<Colo[]>('/lab/v1/colos')
  if (colos.value === undefined) return <Waiting for={colos} what="data centers" />
  const change = (colo: Colo) => attempt(() => switchColo(colo).finally(colos.reload))
  return (
    <TableCard label="Data centers" heads={['Data center', 'Dedicated IPs', 'State']}>
      {colos.value.map((colo) => (
        <tr key={colo.code}>
          <td>
            <strong>{colo.code}</strong> {colo.city}, {colo.country}
          </td>
          <td class="mono small">
            {colo.dedicated_ips.map(({ ipv4, ipv6 }) => (
              <div key={`${ipv4}${ipv6}`}>
                {ipv4} <span class="muted">{ipv6}</span>
              </div>
            ))}
          </td>
          <td>
            <ColoSwitch colo={colo} onToggle={() => change(colo)} />
          </td>
        </tr>
      ))}
    </TableCard>
  )
}

function People({ account, attempt }: TabProps): JSX.Element {
  const people = useResource<Person[]>('/lab/v1/users')
  const networks = useResource<Network[]>(networksPath(account)).value ?? []
  if (people.value === undefined) return <Waiting for={people} what="people" />
  const choose = (email: string, id: string) =>
    attempt(() =>
      ask('PUT', `/lab/v1/users/${encodeURIComponent(email)}/virtual-network`, {
        body: { virtual_network: id === '' ? null : id },
      }).finally(people.reload),
    )
  return (
    <TableCard label="People" heads={['Person', 'Groups', 'Place', 'Virtual network', 'Look at']}>
      {people.value.map(({ email, name, groups, place, virtual_network: network }) => (
        <tr key={email}>
          <td>
            <strong>{name}</strong> <div class="muted small">{email}</div>
          </td>
          <td>{groups.join(', ')}</td>
          <td>{[place?.city, place?.country].filter(Boolean).join(', ')}</td>
          <td>
            <span class="hide-label">
              <ForRole needs="operator">
                <SelectField
                  label={`Virtual network of ${email}`}
                  value={network.chosen ? network.id : ''}
                  options={[['', 'default'], ...networks.map((each) => [each.id, each.name] as const)]}
                  onChange={(id) => choose(email, id)}
                />
              </ForRole>
            </span>
          </td>
          <td>
            <a href={`/sessions?user=${encodeURIComponent(email)}`} aria-label={`sessions of ${email}`}>
              sessions
            </a>
          </td>
        </tr>
      ))}
    </TableCard>
  )
}

function networksPath(account: string): string {
  return `${account}/teamnet/virtual_networks`
}

interface ListedNetwork extends Network {
  readonly is_default_network: boolean
  readonly deleted_at: string | null
}

function Networks({ account, attempt }: TabProps): JSX.Element {
  const path = networksPath(account)
  const networks = useResource<ListedNetwork[]>(`${path}?is_deleted=false`)
  const [name, setName] = useState('')
  if (networks.value === undefined) return <Waiting for={networks} what="virtual networks" />
  const change = (action: Promise<unknown>) => action.finally(networks.reload)
  return (
    <>
      <TableCard label="Virtual networks" heads={['Name', 'Comment', 'Id', 'Change']}>
        {networks.value.map((network) => (
          <tr key={network.id}>
            <td>
              <strong>{network.name}</strong> {network.is_default_network && <span class="chip">default</span>}
            </td>
            <td>{network.comment}</td>
            <td class="mono small">{network.id}</td>
            <td>
              {!network.is_default_network && (
                <ForRole needs="admin">
                  <button
                    type="button"
                    class="small danger"
                    aria-label={`Delete ${network.name}`}
                    onClick={() => attempt(() => change(ask('DELETE', `${path}/${network.id}`)))}
                  >
                    Delete
                  </button>
                </ForRole>
              )}
            </td>
          </tr>
        ))}
      </TableCard>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault()
          attempt(() => change(ask('POST', path, { body: { name, comment: '' } })).then(() => setName('')))
        }}
      >
        <ForRole needs="admin">
          <TextField label="New virtual network" value={name} required onInput={setName} />
          <button type="submit" class="end">
            Add
          </button>
        </ForRole>
      </form>
    </>
  )
}

interface List {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly count: number
}

function Lists({ account, attempt }: TabProps): JSX.Element {
  const lists = useResource<List[]>(`${account}/gateway/lists`)
  if (lists.value === undefined) return <Waiting for={lists} what="lists" />
  if (lists.value.length === 0) return <Empty title="No lists" />
  return (
    <div class="stack tight">
      {lists.value.map((list) => (
        <ListCard
          key={list.id}
          path={`${account}/gateway/lists/${list.id}`}
          list={list}
          attempt={attempt}
          reload={lists.reload}
        />
      ))}
    </div>
  )
}

interface ItemsProps {
  readonly path: string
  readonly list: List
  readonly attempt: Attempt
  readonly reload: () => void
}

/** Asks for the items when it is opened. */
function ListCard(props: ItemsProps): JSX.Element {
  const { name, type, count } = props.list
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="card card-body" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        {name} <span class="chip">{type}</span> <span class="muted">{plural(count, 'item')}</span>
      </summary>
      {isOpen && <Items {...props} />}
    </details>
  )
}

function Items({ path, list, attempt, reload }: ItemsProps): JSX.Element {
  const items = useResource<{ readonly items: readonly { readonly value: string }[] }>(path)
  const [value, setValue] = useState('')
  const change = (body: object) =>
    ask('PATCH', path, { body }).finally(() => {
      items.reload()
      reload()
    })
  return (
    <div class="stack tight">
      <ul class="items">
        {(items.value?.items ?? []).map((item) => (
          <li key={item.value} class="row spread">
            <code>{item.value}</code>
            <ForRole needs="admin">
              <button
                type="button"
                class="small quiet"
                aria-label={`Remove ${item.value} from ${list.name}`}
                onClick={() => attempt(() => change({ remove: [item.value] }))}
              >
                Remove
              </button>
            </ForRole>
          </li>
        ))}
      </ul>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault()
          attempt(() => change({ append: [{ value }] }).then(() => setValue('')))
        }}
      >
        <ForRole needs="admin">
          <TextField label={`Add to ${list.name}`} value={value} required onInput={setValue} />
          <button type="submit" class="end">
            Add
          </button>
        </ForRole>
      </form>
    </div>
  )
}
