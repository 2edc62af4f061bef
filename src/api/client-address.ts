// Who asks: the peer of the connection, or whom the lab's own proxy asks for when a client wants one of the lab's pages through it.

import type { IncomingMessage } from 'node:http'
import { equalSecrets } from './authentication.ts'
import type { Voucher } from './ports.ts'

export interface Client {
  /** an address */
  readonly address: string
  /** asked through the lab's own proxy, which has looked at the host name already */
  readonly isProxied: boolean
}

/** Believes the field with the secret of this process, and nothing else. */
export function clientOf({ headers, socket }: IncomingMessage, voucher: Voucher | undefined): Client {
  const direct = { address: (socket.remoteAddress ?? '').replace(/%.*$/, ''), isProxied: false }
  const told = voucher === undefined ? undefined : headers[voucher.field]
  if (voucher === undefined || typeof told !== 'string') return direct
  const [secret = '', address = ''] = told.split(' ', 2)
  return equalSecrets(secret, voucher.secret) ? { address, isProxied: true } : direct
}
