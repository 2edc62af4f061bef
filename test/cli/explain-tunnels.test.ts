// What `explain` says of destinations behind tunnels: by which one, and where bytes would really go.

import { expect, test } from 'vitest'
import { run } from './run.ts'

const CONFIG = 'config/examples/private-networks.yaml'

async function tunnelLine(network: string, destination: string): Promise<string | undefined> {
  const { stdout } = await run(['explain', '-c', CONFIG, '--user', 'alice@example.com', '--vnet', network, destination])
  return /^tunnel +(.*)$/m.exec(stdout)?.[1]
}

test.each([
  ['vnet-AMER', 'http://10.10.1.4/', 'amer, dialled at 127.40.1.4:9480'],
  ['vnet-EMEA', 'http://10.10.1.4/', 'emea, dialled at 127.41.1.4:9480'],
  ['vnet-EMEA', 'http://127.42.0.1:9482/', 'by-proxy, through its upstream proxy'],
  ['vnet-EMEA', 'http://10.30.0.1/', 'unfinished, without an upstream: the connection fails'],
  ['default', 'http://127.42.0.1:9482/', undefined],
])('in %s, %s: %s', async (network, destination, line) => {
  expect(await tunnelLine(network, destination)).toBe(line)
})

test('--json has it as well', async () => {
  const flow = ['--user', 'alice@example.com', '--vnet', 'vnet-AMER', 'http://10.10.1.4/']
  const { stdout } = await run(['explain', '--json', '-c', CONFIG, ...flow])
  expect(JSON.parse(stdout).tunnel).toMatchObject({ name: 'amer', by: 'stand-in', dial: '127.40.1.4:9480' })
})
