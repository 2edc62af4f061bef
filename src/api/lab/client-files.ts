// What clients of this very lab take from it: a PAC file, and the certificate of its authority. Both are public by nature and hold no
// secret (AP-10).

import { PAC_SCHEMES, writePac } from '../../inbound/pac-script.ts'
import { invalidField } from '../api-error.ts'
import type { ApiResponse } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { textOf } from '../select.ts'

export const PAC_CONTENT_TYPE = 'application/x-ns-proxy-autoconfig'

/** browsers and phones offer to install it */
const CERTIFICATE_CONTENT_TYPE = 'application/x-x509-ca-cert'

const TEXT = { type: 'string' } as const

export const CLIENT_FILE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/proxy.pac',
    summary: 'a PAC file for this lab, as `egresslab pac` prints it',
    access: 'open',
    answers: { kind: 'bytes', mediaType: PAC_CONTENT_TYPE, description: 'a PAC file' },
    query: [
      {
        name: 'listener',
        schema: TEXT,
        description: 'listener that browsers connect to (default: one with a sign-in page, else the first)',
      },
      { name: 'scheme', schema: { enum: PAC_SCHEMES }, description: 'protocol between browser and proxy' },
      {
        name: 'direct',
        schema: { type: 'array', items: TEXT },
        description: 'host to reach without the proxy (repeatable)',
      },
    ],
    handle: generate,
  },
  {
    method: 'GET',
    path: '/ca.pem',
    summary: 'the certificate of the development authority, as `egresslab ca` prints it',
    access: 'open',
    answers: { kind: 'bytes', mediaType: CERTIFICATE_CONTENT_TYPE, description: 'a certificate (PEM)' },
    handle: ({ ports }) => ({
      kind: 'text',
      status: 200,
      contentType: CERTIFICATE_CONTENT_TYPE,
      body: ports.authority(),
    }),
  },
]

function generate({ query, site, ports }: RouteCall): ApiResponse {
  const wanted = textOf(query, 'scheme')
  const scheme = PAC_SCHEMES.find((one) => one === wanted)
  if (wanted !== undefined && scheme === undefined) {
    throw invalidField('scheme', `\`scheme\` must be one of ${PAC_SCHEMES.join(', ')}`)
  }
  const { hostname, port, protocol } = new URL(site.origin)
  const body = writePac({
    listeners: ports.listeners(),
    api: {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || (protocol === 'https:' ? 443 : 80)),
      names: ['127.0.0.1'],
    },
    machine: hostname.replace(/^\[|\]$/g, ''),
    listener: textOf(query, 'listener'),
    scheme,
    direct: query.getAll('direct'),
  })
  return { kind: 'text', status: 200, contentType: PAC_CONTENT_TYPE, body }
}
