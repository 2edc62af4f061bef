// UDP ASSOCIATE through the whole lab: each person's datagrams leave from the address decided for them.

import { expect, test } from 'vitest'
import { startPrivateLab } from '../support/private-lab.ts'
import { UdpClient, udpOrigin } from '../support/udp.ts'

test('UD-05: a datagram leaves from the decided address, for each virtual network its own', async () => {
  const running = await startPrivateLab()
  const { listeners, config } = running.lab
  const origin = await udpOrigin()
  const standInOf = (address: string) =>
    config.dedicatedIps.find(({ ipv4 }) => ipv4?.address.text === address)?.ipv4?.standIns[0]?.text
  const through = async (user: string) => {
    const client = await UdpClient.associate(listeners[0]?.port ?? 0, { login: [user, 'lab-bob'] })
    return client.ask('127.0.0.1', origin.port, 'ping')
  }
  try {
    expect(await through('bob@example.com')).toBe(`${standInOf('203.0.113.10')} ping`)
    expect(await through('bob@example.com;vnet=vnet-AMER')).toBe(`${standInOf('203.0.113.40')} ping`)
  } finally {
    await running.close()
  }
})
