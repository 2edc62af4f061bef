// Rules at the API as their authors rely on them: normal form, precedence, whole replacement, what is kept untouched.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CATCH_ALL_RULE, EMEA_RULE, labConfig } from '../store/lab.ts'
import { type Answered, type RunningApi, runApi } from './running-api.ts'

let api: RunningApi
beforeEach(async () => {
  api = await runApi()
})
afterEach(() => api.close())

const EGRESS = { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' }

function post(body: Record<string, unknown>): Promise<Answered> {
  return api.cloudflare('POST', '/gateway/rules', { name: 'a rule', action: 'egress', filters: ['egress'], ...body })
}

const failure = ({ status, body }: Answered) => [status, body.errors[0]?.code, body.errors[0]?.message]

describe('expressions', () => {
  test.each([
    ['net.dst.port   in {23   53 }', 'net.dst.port in {23 53}'],
    ['not (net.dst.port == 23)', 'not(net.dst.port == 23)'],
    ['net.dst.ip in {10.0.0.1/32 192.0.2.0/24}', 'net.dst.ip in {10.0.0.1 192.0.2.0/24}'],
    ['((net.dst.port == 1)) or\n\tnet.dst.port == 2', '((net.dst.port == 1)) or net.dst.port == 2'],
    ['   ', ''],
  ])('come back in normal form: %j', async (sent, normal) => {
    const { body } = await post({ traffic: sent })
    expect(body.result.traffic).toBe(normal)
    const again = await api.cloudflare('PUT', `/gateway/rules/${body.result.id}`, { ...body.result })
    expect(again.body.result.traffic).toBe(normal)
  })

  test('of the file are shown in normal form too', async () => {
    const { rules } = labConfig()
    const spaced = rules.map((rule) =>
      rule.id === CATCH_ALL_RULE ? { ...rule, traffic: 'net.dst.port   ==  443' } : rule,
    )
    const other = await runApi({ config: { rules: spaced } })
    expect((await other.cloudflare('GET', `/gateway/rules/${CATCH_ALL_RULE}`)).body.result.traffic).toBe(
      'net.dst.port == 443',
    )
    await other.close()
  })

  test('that do not parse are refused in the language’s own words, with place and problems', async () => {
    const answer = await post({ traffic: 'net.dst.prt == 443' })
    const [status, , message] = failure(answer)
    expect(status).toBe(400)
    expect(message).toMatch(/^Filter parsing error: \(1:1\):\nnet\.dst\.prt == 443\n\^+ unknown identifier/)
    expect(answer.body.errors[0]?.details).toMatchObject({ expression: 'traffic', problems: [{ span: [0, 11] }] })
  })

  test('[R12] an identity field in `traffic` is refused', async () => {
    expect(failure(await post({ traffic: 'identity.email == "a@example.com"' }))[0]).toBe(400)
  })
})

describe('precedence', () => {
  test('[R3] is 1000 for the first rule', async () => {
    const empty = await runApi({ config: { rules: [] } })
    const { body } = await empty.cloudflare('POST', '/gateway/rules', { name: 'first', action: 'egress' })
    expect(body.result.precedence).toBe(1000)
    await empty.close()
  })

  test('[R3] is the largest so far and 1001 to 1100 more when left out', async () => {
    const { body } = await post({})
    expect(body.result.precedence).toBeGreaterThanOrEqual(9000 + 1001)
    expect(body.result.precedence).toBeLessThanOrEqual(9000 + 1100)
  })

  test('[R3] may be 0, and a taken one is 409 with code 2011, over all types of rules', async () => {
    expect((await post({ precedence: 0 })).status).toBe(200)
    const dns = { name: 'dns', action: 'block', filters: ['dns'], precedence: 0 }
    expect(failure(await api.cloudflare('POST', '/gateway/rules', dns)).slice(0, 2)).toEqual([409, 2011])
  })

  test('stays when a replacement leaves it out', async () => {
    const { body } = await api.cloudflare('PUT', `/gateway/rules/${EMEA_RULE}`, { name: 'x', action: 'egress' })
    expect(body.result.precedence).toBe(1000)
  })
})

describe('egress settings', () => {
  test.each([
    [{ egress: EGRESS }],
    [{ egress: { ...EGRESS, ipv6: '2001:DB8:20::1/64' } }],
    [{ egress: null }],
    [{}],
    [null],
  ])('[R4] [R7] come back as they were sent: %j', async (rule_settings) => {
    const { body } = await post({ rule_settings })
    expect(body.result.rule_settings).toEqual(rule_settings)
    const { body: read } = await api.cloudflare('GET', `/gateway/rules/${body.result.id}`)
    expect(read.result).toEqual(body.result)
  })

  test.each([
    [{ egress: null }],
    [{ egress: {} }],
    [{ egress: { ipv4: '', ipv4_fallback: '', ipv6: '' } }],
    [{}],
    [null],
    [undefined],
  ])('[R4] are shared egress when empty: %j', async (rule_settings) => {
    const { body } = await post({ rule_settings })
    expect(api.store.current().state.rule.get(body.result.id)?.value.egress).toBeNull()
  })

  test.each([
    ['[R5] primary', { ...EGRESS, ipv4: '192.0.2.1' }, [400, 2055, "Account doesn't own dedicated primary IPv4"]],
    [
      '[R6] fallback',
      { ...EGRESS, ipv4_fallback: '192.0.2.1' },
      [400, 2055, "Account doesn't own dedicated fallback IPv4"],
    ],
    ['[R7] range', { ...EGRESS, ipv6: '2001:db8:99::/64' }, [400, 2055, "Account doesn't own dedicated IPv6 range"]],
  ])('%s must be the account’s', async (_name, egress, expected) => {
    expect(failure(await post({ rule_settings: { egress } }))).toEqual(expected)
  })

  test('[R6] a missing fallback is allowed and warned of; `0.0.0.0` is shared egress', async () => {
    const { ipv4_fallback: _left, ...without } = EGRESS
    expect((await post({ rule_settings: { egress: without } })).body.result.warning_status).toContain('ipv4_fallback')
    const shared = await post({ rule_settings: { egress: { ...EGRESS, ipv4_fallback: '0.0.0.0' } } })
    expect(shared.body.result.warning_status).toBeNull()
  })

  test.each([
    ['an address that does not parse', { ...EGRESS, ipv4: '203.0.113' }],
    ['no primary', { ipv6: EGRESS.ipv6 }],
    ['no range', { ipv4: EGRESS.ipv4 }],
    ['an unknown setting', { ...EGRESS, ipv5: '' }],
  ])('%s is 400 and changes nothing', async (_name, egress) => {
    const { revision } = api.store.current()
    expect((await post({ rule_settings: { egress } })).status).toBe(400)
    expect(api.store.current().revision).toBe(revision)
  })
})

test('an action an egress rule cannot have is 400 with code 2087', async () => {
  expect(failure(await post({ action: 'block' }))).toEqual([400, 2087, 'invalid action "block"'])
  expect(failure(await post({ action: 'explode', filters: [] }))).toEqual([400, 2087, 'invalid action "explode"'])
})

describe('rules of other types', () => {
  const dns = {
    name: 'block bad names',
    action: 'block',
    filters: ['dns'],
    enabled: true,
    traffic: 'any(dns.domains[*] == "example.com")   and   dns.query_rtype == "A"',
    rule_settings: { block_page_enabled: true, block_reason: 'no', override_ips: null, add_headers: {} },
    schedule: { mon: '08:00-17:00', time_zone: 'Europe/Berlin' },
    expiration: { expires_at: '2030-01-01T05:20:00Z', duration: 10 },
  }

  test('[R9] are returned untouched and never evaluated', async () => {
    const { body } = await api.cloudflare('POST', '/gateway/rules', dns)
    expect(body.result).toMatchObject(dns)
    const skipped = api.store.current().ruleset.skipped.map(({ rule, why }) => [rule.id, why])
    expect(skipped).toContainEqual([body.result.id, 'not-egress'])
  })

  test('[R9] say so once per type', async () => {
    const first = await api.cloudflare('POST', '/gateway/rules', dns)
    expect(first.body.messages[0]?.message).toMatch(/type `dns` .* Gateway DNS .* evaluates/)
    expect((await api.cloudflare('POST', '/gateway/rules', dns)).body.messages).toEqual([])
    const { schedule: _schedule, expiration: _expiration, ...l4 } = { ...dns, filters: ['l4'], rule_settings: {} }
    expect((await api.cloudflare('POST', '/gateway/rules', l4)).body.messages).toHaveLength(1)
    expect(api.notices).toHaveLength(2)
  })
})

describe('[R14] rules limited in time', () => {
  const schedule = { mon: '08:00-17:00', time_zone: 'Europe/Berlin' }
  const expiration = { expires_at: '2030-01-01T05:20:00Z', duration: 10 }

  test.each([
    ['a schedule', 'egress', { schedule }],
    ['an expiration', 'egress', { expiration }],
    ['a schedule', 'http', { schedule }],
    ['an expiration', 'l4', { expiration }],
    ['an expiration', 'dns_resolver', { expiration }],
  ])(
    '%s of an %s rule is 400 with code 2014, created or replaced, and nothing changes',
    async (_what, type, timing) => {
      const action = type === 'egress' ? 'egress' : type === 'dns_resolver' ? 'resolve' : 'block'
      const { revision } = api.store.current()
      const body = { action, filters: [type], ...timing }
      const [field] = Object.keys(timing)
      const told = [400, 2014, expect.stringContaining(`\`${field}\` is only for rules of type`)]
      expect(failure(await post(body))).toEqual(told)
      const replaced = await api.cloudflare('PUT', `/gateway/rules/${EMEA_RULE}`, { name: 'EMEA', ...body })
      expect(failure(replaced)).toEqual(told)
      expect(api.store.current().revision).toBe(revision)
    },
  )

  test.each([
    ['dns', 'block', { schedule, expiration }],
    ['dns_resolver', 'resolve', { schedule }],
    ['egress', 'egress', { schedule: null, expiration: null }],
    ['egress', 'egress', { schedule: {}, expiration: {} }],
  ])('are taken where the type has them, or where nothing is said: %s', async (type, action, timing) => {
    const { status, body } = await post({ action, filters: [type], ...timing })
    expect(status).toBe(200)
    expect(body.result).toMatchObject(timing)
  })
})

describe('what clients send back after reading', () => {
  test('is taken whole: read-only fields are ignored', async () => {
    const { body: read } = await api.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)
    const { body } = await api.cloudflare('PUT', `/gateway/rules/${EMEA_RULE}`, { ...read.result, name: 'renamed' })
    const { version, updated_at: _updated, ...rest } = body.result
    expect(version).toBe(2)
    expect(rest).toEqual({ ...rest, ...read.result, name: 'renamed', version: undefined, updated_at: undefined })
  })

  test('nulls and empty strings, as Terraform’s provider sends them, are defaults', async () => {
    const { status, body } = await post({
      description: null,
      traffic: '',
      identity: null,
      device_posture: '',
      schedule: null,
      expiration: null,
      rule_settings: null,
      precedence: null,
      enabled: null,
    })
    expect(status).toBe(200)
    expect(body.result).toMatchObject({
      identity: '',
      device_posture: '',
      schedule: null,
      enabled: false,
    })
  })
})

describe('listing', () => {
  const names = async (query: string) =>
    (await api.cloudflare('GET', `/gateway/rules${query}`)).body.result.map(({ name }: { name: string }) => name)

  test.each([
    ['', ['EMEA from London', 'everything else']],
    ['?direction=desc', ['everything else', 'EMEA from London']],
    ['?search=LONDON', ['EMEA from London']],
    ['?filter=expression:vnet_id', ['EMEA from London']],
    ['?filter=filters:dns', []],
    ['?filter=name:e&filter=enabled:true&order_by=name&direction=desc', ['everything else', 'EMEA from London']],
    [`?filter=id:${EMEA_RULE.replaceAll('-', '')}`, ['EMEA from London']],
  ])('%s', async (query, expected) => {
    expect(await names(query)).toEqual(expected)
  })

  test.each(['?filter=colour:red', '?order_by=colour', '?direction=up', '?filter=name'])('%s is 400', async (query) => {
    expect((await api.cloudflare('GET', `/gateway/rules${query}`)).status).toBe(400)
  })
})

describe('two writers', () => {
  test('AP-06 the second of two changes held to the same revision is 412, and nothing is lost', async () => {
    const { headers } = await api.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)
    const held = { 'if-match': `"${headers.get('egresslab-revision')}"` }
    const put = (name: string) => api.cloudflare('PUT', `/gateway/rules/${EMEA_RULE}`, { name, action: 'egress' }, held)
    const statuses = (await Promise.all([put('one'), put('two')])).map(({ status }) => status)
    expect(statuses.sort()).toEqual([200, 412])
  })

  test('AP-06 of many creating at once, each gets a precedence of its own', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => post({})))
    expect(new Set(answers.map(({ body }) => body.result.precedence)).size).toBe(20)
  })
})

test('rules of a file that owns them are read-only, and say where to change them', async () => {
  const owned = await runApi({ config: { policySource: 'file' } })
  const answer = await owned.cloudflare('DELETE', `/gateway/rules/${EMEA_RULE}`)
  expect(failure(answer)).toEqual([409, 20002, expect.stringContaining('`lab.yaml`')])
  expect((await owned.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)).body.result.read_only).toBe(true)
  await owned.close()
})

test('a list that a rule uses cannot be deleted, in either spelling of its id', async () => {
  const { body } = await api.cloudflare('POST', '/gateway/lists', {
    name: 'l',
    type: 'IP',
    items: [{ value: '192.0.2.1' }],
  })
  const { id } = body.result
  const rule = await post({ traffic: `net.dst.ip in $${id.replaceAll('-', '')}` })
  expect(rule.status).toBe(200)
  expect((await api.cloudflare('DELETE', `/gateway/lists/${id}`)).status).toBe(409)
  await api.cloudflare('DELETE', `/gateway/rules/${rule.body.result.id}`)
  expect((await api.cloudflare('DELETE', `/gateway/lists/${id}`)).status).toBe(200)
})
