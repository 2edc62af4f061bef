// UDP ASSOCIATE through the whole lab: each person's datagrams leave from the address decided for them.

import { once } from 'node:events'
import { expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { UdpClient, udpOrigin, udpSocket } from '../support/udp.ts'

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

test('UD-05 SS-04: the UDP echo origin shows the public address, its stand-in is refused, and past the lab it says so', async () => {
  const running = await startPrivateLab()
  try {
    const { listeners, config } = running.lab
    const login = ['carol@example.com', 'lab-carol'] as const
    const client = await UdpClient.associate(listeners[0]?.port ?? 0, { login })
    expect(await client.ask('udp-echo.test', 7, 'anything')).toBe('203.0.113.40\n')
    const standIn = config.destinations.find(({ name }) => name === 'udp-echo.test')?.addresses[0]?.standIn.text
    client.send(standIn ?? '', 10_007, 'a stand-in is no destination of its own')
    await expect
      .poll(() => running.lab.sessions.recent().map(({ Lab }) => Lab.error?.code))
      .toContain('guard.own_listener')
    const past = await udpSocket()
    const answer = once(past, 'message')
    past.send('hello', 10_007, standIn)
    expect(String((await answer)[0])).toBe('not through the lab: 127.0.0.1\n')
  } finally {
    await running.close()
  }
})

test('SS-04: neither the API nor a door can be reached through the lab, by any protocol or spelling', async () => {
  const running = await startPrivateLab()
  try {
    const { listeners, api, pipeline } = running.lab
    const refused: string[] = []
    for (const port of [api.port, listeners[0]?.port ?? 0]) {
      for (const host of ['127.0.0.1', '127.1', '2130706433', 'localhost', '[::1]', '127.9.9.9', '0.0.0.0']) {
        const url = `http://${host}:${port}/`
        const answer = await curl('-g', '-x', running.proxy, '-U', 'bob@example.com:lab-bob', url)
        refused.push(`${answer.status} ${/^code: (.*)$/m.exec(answer.body)?.[1]}`)
      }
    }
    expect(new Set(refused)).toEqual(new Set(['403 guard.own_listener']))

    const client = await UdpClient.associate(listeners[0]?.port ?? 0, { login: ['bob@example.com', 'lab-bob'] })
    client.send('127.0.0.1', api.port, 'x')
    await expect.poll(() => pipeline.datagrams.read().dropped.unrouted).toBe(1)
  } finally {
    await running.close()
  }
})
