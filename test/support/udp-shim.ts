// Lets a program that knows nothing of SOCKS use an association: a UDP port whose datagrams go to one destination through the
// proxy, and come back from there.

import { type UdpClient, udpHeader, udpSocket } from './udp.ts'

/** Opens the port; answers its number. Gone when the test ends. */
export async function udpShim(client: UdpClient, host: string, port: number): Promise<number> {
  const header = udpHeader(host, port)
  const shim = await udpSocket()
  let program: { readonly address: string; readonly port: number } | undefined
  shim.on('message', (payload, from) => {
    program = from
    client.sendRaw(Buffer.concat([header, payload]))
  })
  client.onAnswer((payload) => {
    if (program !== undefined) shim.send(payload, program.port, program.address)
  })
  return shim.port
}
