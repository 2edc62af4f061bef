// The virtual network of a user: set by the operator for any user, and by users for themselves with
// their own proxy credentials. Open tunnels keep their address; the next connection takes the new one.

import type { Json } from '../../config/lab-state.ts'
import { didYouMean } from '../../errors/did-you-mean.ts'
import { canonicalEmail } from '../../policy/canonical-email.ts'
import { invalidField, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { ATTACHED_NETWORK, ME, PERSON } from '../shapes/lab.ts'

const PATH = '/lab/v1/users'
const CHOICE = {
  type: 'object',
  additionalProperties: false,
  required: ['virtual_network'],
  properties: {
    virtual_network: { type: ['string', 'null'], minLength: 1, description: 'name or id; null for the default' },
  },
} as const

export const USER_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'configured users and the virtual networks they are on',
    access: 'token',
    answers: { kind: 'list', schema: PERSON },
    handle: (call) =>
      listOf(call.ports.users().map((user) => ({ ...user, virtual_network: networkOf(call, user.email) }))),
  },
  {
    method: 'GET',
    path: `${PATH}/{email}/virtual-network`,
    summary: 'the virtual network a user is on',
    access: 'token',
    answers: { kind: 'result', schema: ATTACHED_NETWORK },
    handle: (call) => ok(networkOf(call, known(call))),
  },
  {
    method: 'PUT',
    path: `${PATH}/{email}/virtual-network`,
    summary: 'moves a user to a virtual network (`{"virtual_network": "vnet-EMEA"}`)',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: ATTACHED_NETWORK },
    body: CHOICE,
    handle: (call) => choose(call, known(call)),
  },
  {
    method: 'DELETE',
    path: `${PATH}/{email}/virtual-network`,
    summary: 'moves a user back to the default virtual network',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: ATTACHED_NETWORK },
    handle: (call) => {
      const email = known(call)
      call.ports.plane.chooseVirtualNetwork(email, null)
      return ok(networkOf(call, email))
    },
  },
  {
    method: 'GET',
    path: '/lab/v1/me',
    summary: 'your identity, your virtual network and the ones you may choose',
    access: 'user',
    answers: { kind: 'result', schema: ME },
    handle: me,
  },
  {
    method: 'PUT',
    path: '/lab/v1/me/virtual-network',
    summary: 'chooses your virtual network',
    access: 'user',
    answers: { kind: 'result', schema: ME },
    body: CHOICE,
    handle: (call) => {
      choose(call, call.user)
      return me(call)
    },
  },
]

function me(call: RouteCall) {
  const { virtualNetworks } = call.ports.plane.current().account
  const choices = virtualNetworks.map(({ id, name, comment, isDefault }) => ({
    id,
    name,
    comment,
    is_default: isDefault,
  }))
  const { name = '', place } = call.ports.users().find(({ email }) => email === call.user) ?? {}
  const who = { email: call.user, name, place: place ?? null }
  return ok({ ...who, virtual_network: networkOf(call, call.user), virtual_networks: choices })
}

function choose(call: RouteCall, email: string) {
  const wanted = call.body.virtual_network ?? null
  call.ports.plane.chooseVirtualNetwork(email, wanted === null ? null : idOf(call, wanted))
  return ok(networkOf(call, email))
}

/** The id of a virtual network given by name or id. */
function idOf(call: RouteCall, wanted: Json): string {
  const { virtualNetworks } = call.ports.plane.current().account
  const found = virtualNetworks.find(({ id, name }) => name === wanted || id === String(wanted).toLowerCase())
  if (found !== undefined) return found.id
  const names = virtualNetworks.map(({ name }) => `\`${name}\``).join(', ')
  throw invalidField('/virtual_network', `unknown virtual network \`${wanted}\`; known are ${names}`)
}

/** The user whom the path names. */
function known(call: RouteCall): string {
  const email = canonicalEmail(call.params.email ?? '')
  const emails = call.ports.users().map((user) => user.email)
  if (emails.includes(email)) return email
  const hint = didYouMean(email, emails, 'there are') ?? 'the configuration has no users'
  throw notFound(`unknown user \`${call.params.email}\`; ${hint}`)
}

function networkOf(call: RouteCall, email: string) {
  const { plane } = call.ports
  const chosen = plane.chosenVirtualNetwork(email)
  const { virtualNetworks } = plane.current().account
  const network = virtualNetworks.find(({ id, isDefault }) => (chosen === undefined ? isDefault : id === chosen))
  return { id: network?.id ?? '', name: network?.name ?? '', chosen: chosen !== undefined }
}
