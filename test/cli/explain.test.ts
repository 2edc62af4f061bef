import { expect, test } from 'vitest'
import { run } from './run.ts'

const explain = (...args: string[]) => run(['explain', '--state', '/nonexistent/state', ...args])
const decided = async (...args: string[]) => JSON.parse((await explain('--json', ...args)).stdout)

const BANK = [
  'egress   203.0.113.20  bound here as 127.0.10.20',
  'service  bank.saas.test lets in',
  'why      rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20 at LHR',
  'outcome  dedicated',
]
const BANK_FLOW = [
  '',
  'from  alice@example.com on alice-laptop, 81.2.69.142 in London GB, virtual network default',
  'to    bank.saas.test at 198.51.100.20 port 443/tcp in London GB',
  '',
  '✓   1000  Finance to the bank',
  '           traffic        true   any(net.fqdn.domains[*] == "bank.saas.test")   net.fqdn.domains is ["bank.saas.test","saas.test","test"]',
  '           identity       true   any(identity.groups.name[*] in {"Finance"})   identity.groups.name is ["Finance"]',
]

test('says first from where and whether that is let in, then why, then the rule that decided', async () => {
  const { code, stdout, stderr } = await explain('--user', 'alice@example.com', 'https://bank.saas.test/login')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toBe([...BANK, ...BANK_FLOW, ''].join('\n'))
})

test('without a user it says that the proxy would ask for a login, where it would', async () => {
  const line = '      the listener `main` answers 407 to who does not log in; `--user EMAIL` names somebody'
  expect((await explain('bank.saas.test')).stdout.split('\n')).toContain(line)
  const byNetwork = (await explain('-c', 'config/examples/endpoint-ip.yaml', 'ipv4.icanhazip.com')).stdout
  expect(byNetwork).toContain('from  no user')
  expect(byNetwork).not.toContain('407')
})

test('--full shows every rule, the path and the addresses considered', async () => {
  const { stdout } = await explain('--full', '--user', 'alice@example.com', 'https://bank.saas.test/login')
  expect(stdout).toBe(
    [
      ...BANK,
      'path     in at LHR, out at LHR, seen in London GB',
      'plan     primary 203.0.113.20 at LHR: used → fallback 203.0.113.30 at IAD: not needed',
      ...BANK_FLOW,
      '·   2000  vnet-AMER leaves from Los Angeles  (not reached: rule `Finance to the bank` matched first)',
      '·   3000  vnet-EMEA leaves from London  (not reached: rule `Finance to the bank` matched first)',
      '·   4000  Payroll from encrypted devices  (not reached: rule `Finance to the bank` matched first)',
      '·   5000  Partners  (not reached: rule `Finance to the bank` matched first)',
      '·  10000  Everything else to default egress  (disabled)',
      '',
    ].join('\n'),
  )
})

test('a host without a port means port 443, and a service that refuses says whom it allows', async () => {
  const { stdout } = await explain('--user', 'bob@example.com', 'bank.saas.test')
  expect(stdout).toContain('\nservice  bank.saas.test refuses (allows 203.0.113.20, 203.0.113.30)\n')
  expect(stdout).toContain('at 198.51.100.20 port 443/tcp')
  expect((await decided('--user', 'bob@example.com', 'bank.saas.test')).allowlist).toEqual({
    service: 'bank.saas.test',
    allow: ['203.0.113.20', '203.0.113.30'],
    let_in: false,
  })
})

test('a rule is near only if it lacks one condition, not the destination, and can match at all; three at most', async () => {
  const company = ['-c', 'config/examples/company/lab.yaml']
  const near = async (...args: string[]) =>
    (await decided(...company, ...args)).near_misses.map(({ rule }: { rule: string }) => rule)
  // vnet rules are near as well: three are enough
  expect(await near('--user', 'bob@example.com', 'payroll.saas.test')).toEqual([
    'Payroll for HR',
    'Payroll for Finance',
    'vnet-EMEA on the continent',
  ])
  // `Customs for Hamburg` lacks the country only, and is never reached
  expect(await near('--user', 'kenji@example.com', 'customs.saas.test')).not.toContain('Customs for Hamburg')
})

test('everything that cannot be asked is said at once', async () => {
  const { code, stderr } = await explain(
    ...['--user', 'alicf@example.com', '--vnet', 'vnet-AMRE', '--device', 'alice-laptp', '--source-ip', '1.2.3'],
    ...['--colo-down', 'QQQ', '--endpoint', 'mian', 'a b'],
  )
  expect(code).toBe(2)
  expect([...stderr.matchAll(/\[(explain\.\w+)\]/g)].map(([, found]) => found)).toEqual([
    'explain.unknown_colo',
    'explain.bad_destination',
    'explain.unknown_endpoint',
    'explain.unknown_user',
    'explain.unknown_device',
    'explain.bad_source',
    'explain.unknown_network',
  ])
  expect(stderr).toContain('run `egresslab colo list --all`')
})

test('says which rule nearly matched, and what it lacked', async () => {
  const { stdout } = await explain('--user', 'bob@example.com', 'bank.saas.test:443')
  expect(stdout).toContain(
    'near     rule `Finance to the bank` lacks only: any(identity.groups.name[*] in {"Finance"})\n',
  )
})

test('--json has flow, decision and trace in their documented shape, and nothing else is written', async () => {
  const { code, stdout, stderr } = await explain(
    '--json',
    '--user',
    'bob@example.com',
    '--vnet',
    'vnet-AMER',
    'http://ipv4.icanhazip.com/',
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { flow, decision, trace } = JSON.parse(stdout)
  expect(flow).toMatchObject({
    'net.dst.ip': '198.51.100.4',
    'net.dst.port': 80,
    'net.src.ip': '86.80.1.1',
    'net.protocol': 'tcp',
    'net.fqdn.host': 'ipv4.icanhazip.com',
    'net.fqdn.domains': ['ipv4.icanhazip.com', 'icanhazip.com', 'com'],
    'identity.email': 'bob@example.com',
  })
  expect(decision).toEqual({
    outcome: 'dedicated',
    rule: { id: expect.any(String), name: 'vnet-AMER leaves from Los Angeles', precedence: 2000 },
    reason: 'rule `vnet-AMER leaves from Los Angeles` (precedence 2000) sends this to 203.0.113.40 at LAX',
    egress: { ipv4: '203.0.113.40', fallback: false, bind: '127.0.10.40' },
    ingress_colo: 'AMS',
    physical_colo: 'LAX',
    logical: { colo: 'LAX', city: 'Los Angeles', country: 'US' },
  })
  expect(trace[1]).toMatchObject({
    rule: 'vnet-AMER leaves from Los Angeles',
    precedence: 2000,
    matched: true,
    skipped: null,
    expressions: {
      traffic: { result: true, parts: [{ text: expect.stringContaining('net.vnet_id'), span: [0, 53], result: true }] },
    },
  })
  expect(trace.at(-1)).toMatchObject({ matched: false, skipped: 'disabled' })
})

test('[E5] the Las Vegas example holds in all four rows', async () => {
  const carol = (family: string, host: string) =>
    decided('--user', 'carol@example.com', '--family', family, `${host}:443`)
  const row = async (family: string, host: string) => {
    const { decision } = await carol(family, host)
    return [decision.physical_colo, decision.logical.city]
  }
  expect(await row('4', 'espn.com')).toEqual(['LAX', 'Los Angeles'])
  expect(await row('4', 'cloudflare.com')).toEqual(['LAS', 'Los Angeles'])
  expect(await row('6', 'espn.com')).toEqual(['LAS', 'Los Angeles'])
  expect(await row('6', 'cloudflare.com')).toEqual(['LAS', 'Los Angeles'])
})

test('--colo-down takes data centers out, one after the other, as far as unroutable', async () => {
  const amer = (...down: string[]) =>
    decided(
      '--user',
      'bob@example.com',
      '--vnet',
      'vnet-AMER',
      ...down.flatMap((code) => ['--colo-down', code]),
      'ipv4.icanhazip.com:80',
    )
  expect((await amer('LAX')).decision).toMatchObject({
    outcome: 'dedicated-fallback',
    egress: { ipv4: '203.0.113.50', fallback: true },
  })
  expect((await amer('LAX', 'ewr')).decision).toMatchObject({
    outcome: 'unroutable',
    egress: null,
    physical_colo: null,
  })
})

test('[E3] a name with both families is decided for each; IPv6, tried first, stands for the connection', async () => {
  const { flow, further_addresses } = await decided('--user', 'bob@example.com', 'ifconfig.me:80')
  expect(flow['net.dst.ip']).toBe('2001:db8:f00::5')
  expect(further_addresses).toEqual([
    expect.objectContaining({ flow: expect.objectContaining({ 'net.dst.ip': '198.51.100.5' }) }),
  ])
})

test('a source address moves the user, and without a user only the address speaks', async () => {
  const { decision, flow } = await decided('--source-ip', '24.253.10.10', 'ipv4.icanhazip.com:80')
  expect(decision).toMatchObject({ outcome: 'balanced', ingress_colo: 'LAS', egress: { ipv4: '203.0.113.40' } })
  expect(flow).not.toHaveProperty(['identity.email'])
})

test('a private route is exempt', async () => {
  const { decision } = await decided('--user', 'bob@example.com', '10.10.1.1:22')
  expect(decision).toMatchObject({ outcome: 'exempt', rule: null, exempt: { kind: 'private-route' } })
})

test('a connection that fails before a decision is an answer with exit code 1', async () => {
  const unknown = await explain('nowhere.invalid:80')
  expect(unknown).toMatchObject({ code: 1, stderr: '' })
  expect(unknown.stdout).toMatch(
    /^fails before a decision: there is no host `nowhere\.invalid`.* \[name\.not_found\]\n$/,
  )
  const { code, stdout } = await explain('--json', '127.0.0.1:8080')
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({ decision: null, error: { code: 'guard.own_listener' } })
})

test.each([
  [
    ['--user', 'bob@exmple.com', 'a.test:80'],
    'error: unknown user `bob@exmple.com` [explain.unknown_user]\n  hint: did you mean `bob@example.com`?',
  ],
  [['--colo-down', 'XXQ', 'a.test:80'], 'error: unknown data center `XXQ` [explain.unknown_colo]'],
  [['--endpoint', 'nowhere', 'a.test:80'], 'error: unknown proxy endpoint or listener `nowhere`'],
  [['--user', 'bob@example.com', '--vnet', 'vnet-AMR', 'a.test:80'], 'error: there is no virtual network `vnet-AMR`'],
  [
    ['--user', 'bob@example.com', '--device', 'alice-laptop', 'a.test:80'],
    'error: there is no device `alice-laptop` for this user',
  ],
  [['--config', 'none.yaml', 'a.test:80'], 'cannot read `none.yaml`: there is no such file'],
])('%j is bad input: exit 2, said on standard error', async (args, message) => {
  const { code, stdout, stderr } = await explain(...args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(message)
})
