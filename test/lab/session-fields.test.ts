// [S1] The fields that Cloudflare's records have since September 2026, as the lab fills them in.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { curl } from '../support/curl.ts'
import { PATIENT } from '../support/patience.ts'
import { startPrivateLab } from '../support/private-lab.ts'

const CONFIG = `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
devices: [{ name: branch-1, id: 9f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7a01, internal_source_ip: 10.20.4.9 }]
users: [{ email: bob@example.com, password: lab, place: AMS }]
listeners:
  - { name: main }
  - { name: branch, port: 8081, endpoint: { kind: ip, subdomain: 3ele0ss56t, networks: [127.0.0.0/8] } }
destinations: [{ name: echo.test, addresses: [198.51.100.1], origin: echo }]
`

test('the on-ramp is a device client, a GRE or IPsec tunnel, or a proxy endpoint; nothing here is a Worker or a replica', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-fields-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'lab.yaml'), CONFIG)
  const { lab, close } = await startPrivateLab({ configFile: join(folder, 'lab.yaml') })
  onTestFinished(close)
  const [main, branch] = lab.listeners.map(({ port }) => `http://127.0.0.1:${port}`)
  await curl('-x', main ?? '', '-U', 'bob@example.com:lab', 'http://echo.test/')
  await curl('-x', main ?? '', '-U', 'bob@example.com;device=branch-1:lab', 'http://echo.test/')
  await curl('-x', branch ?? '', 'http://echo.test/')
  await vi.waitFor(() => expect(lab.sessions.recent()).toHaveLength(3), PATIENT)
  const nothing = { DestinationReplicaID: '', SourceID: '', SourceName: '' }
  expect(lab.sessions.recent()).toMatchObject([
    { OnrampType: 'CF1_CLIENT', SourceInternalIP: '', ...nothing },
    { OnrampType: 'MAGIC', SourceInternalIP: '10.20.4.9', ...nothing },
    { OnrampType: 'OTHER', SourceInternalIP: '', ...nothing },
  ])
})
