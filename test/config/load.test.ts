// Loading from disk, further rules files, positions, defaults, and ids that stay.

import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import schema from '../../config/lab.schema.json' with { type: 'json' }
import { schemaViolations } from '../../scripts/schemas.ts'
import { RULE_LIST } from '../../src/config/account-schema.ts'
import type { LabConfig } from '../../src/config/lab-config.ts'
import { LAB } from '../../src/config/lab-schema.ts'
import { checkConfig, checkConfigText, loadConfig } from '../../src/config/load.ts'
import { compareVersions, ownVersion } from '../../src/config/own-package.ts'
import { createAjv } from '../../src/config/shape-checks.ts'
import { InputError } from '../../src/errors/issue.ts'
import { DEFAULT_SETTINGS } from '../../src/policy/account.ts'
import { POLICY_TESTS } from '../../src/policy-tests/policy-test-schema.ts'
import { SCENARIO } from '../../src/scenario/scenario-schema.ts'

const IPS = 'dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:DB8:10::/64" }]\n'

function load(text: string): LabConfig {
  const { config, issues } = checkConfigText('lab.yaml', text)
  if (config === undefined) throw new InputError(issues)
  return config
}

function directory(files: Readonly<Record<string, string | Buffer>>): string {
  const path = mkdtempSync(join(tmpdir(), 'config-'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content)
  return path
}

/** Root reads whatever its mode says, so it is somebody else for as long as this takes. */
function asAnybody<T>(action: () => T): T {
  if (process.geteuid?.() !== 0) return action()
  process.seteuid?.(65_534)
  try {
    return action()
  } finally {
    process.seteuid?.(0)
  }
}

describe('a file for another version', () => {
  test('a newer one is refused with both versions named, whatever keys it has', () => {
    const { config, issues } = checkConfigText('lab.yaml', `egresslab: "99.1"\nfuture: { key: 1 }\n${IPS}`)
    expect(config).toBeUndefined()
    expect(issues).toMatchObject([
      {
        code: 'config.newer',
        file: 'lab.yaml',
        line: 1,
        message: `this file is for egresslab \`99.1\`, and this is \`${ownVersion()}\``,
      },
    ])
  })

  test('this one and older ones are read; what is no version is said to be none', () => {
    for (const version of [ownVersion(), '0.0.1', '0.0', '0']) {
      expect(checkConfigText('lab.yaml', `egresslab: "${version}"\n${IPS}`).issues).toEqual([])
    }
    expect(checkConfigText('lab.yaml', `egresslab: "latest"\n${IPS}`).issues).toMatchObject([
      { code: 'config.malformed' },
    ])
    expect(checkConfigText('lab.yaml', `egresslab: 0.1\n${IPS}`).issues).toMatchObject([
      { code: 'config.wrong_type', hint: 'put it in quotes: "0.1"' },
    ])
  })

  test.each([
    ['0.2.0', '0.10.0', -1],
    ['1.0', '1.0.0', 0],
    ['1.0.1', '1.0', 1],
    ['2.0.0-beta.1', '2.0.0', 0],
  ])('%s against %s', (a, b, order) => {
    expect(Math.sign(compareVersions(a, b))).toBe(order)
  })
})

describe('the file', () => {
  test.each([
    ['nowhere.yaml', 'there is no such file'],
    ['.', 'it is a directory'],
    ['latin1.yaml', 'it is not UTF-8 text'],
  ])('%s cannot be read, and why is said', (name, reason) => {
    const file = join(directory({ 'latin1.yaml': Buffer.from('account: { name: caf\xe9 }', 'latin1') }), name)
    expect(() => loadConfig(file)).toThrow(InputError)
    expect(checkConfig(file).issues).toMatchObject([
      { code: 'config.unreadable', message: `cannot read \`${file}\`: ${reason}` },
    ])
  })

  test('permission denied is said as that', () => {
    const file = join(directory({ 'lab.yaml': IPS }), 'lab.yaml')
    chmodSync(file, 0)
    chmodSync(join(file, '..'), 0o755)
    const { config, issues } = asAnybody(() => checkConfig(file))
    expect(config).toBeUndefined()
    expect(issues).toMatchObject([
      { code: 'config.unreadable', message: `cannot read \`${file}\`: permission is denied` },
    ])
  })

  test('JSON is YAML', () => {
    expect(load('{"dedicated_ips": [{"colo": "AMS", "ipv4": "203.0.113.10"}]}').dedicatedIps).toHaveLength(1)
  })

  test('anchors, merges and notes of one’s own are allowed', () => {
    const config = load(`${IPS}x-people: &person { groups: [Finance] }\nusers: [{ <<: *person, email: a@b.test }]\n`)
    expect(config.users[0]?.identity.groups.map(({ name }) => name)).toEqual(['Finance'])
  })

  test('aliases that multiply are stopped', () => {
    const levels = Array.from({ length: 9 }, (_, at) => `x-${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}*a${at}]`)
    expect(checkConfigText('lab.yaml', `x-0: &a0 [lol]\n${levels.join('\n')}\n${IPS}`).issues).toMatchObject([
      { code: 'config.syntax', message: 'the aliases of this file expand too far' },
    ])
  })

  test('a warning does not keep the lab from starting', () => {
    const { config, issues } = checkConfigText('lab.yaml', `${IPS}listeners: [{ name: a, host: 192.0.2.1 }]\n`)
    expect(config).toBeDefined()
    expect(issues).toMatchObject([{ severity: 'warning', code: 'config.insecure', line: 2, column: 30 }])
  })

  test.each([
    '{ name: a, host: 0.0.0.0, authentication: anonymous }',
    "{ name: a, host: '::', authentication: optional }",
    '{ name: a, host: 192.0.2.1, user: a@b.test }',
  ])('SS-06: a listener that anybody on the network could use is refused: %s', (listener) => {
    const people = 'users: [{ email: a@b.test, place: AMS }]\n'
    const { config, issues } = checkConfigText('lab.yaml', `${IPS}${people}listeners: [${listener}]\n`)
    expect(config).toBeUndefined()
    expect(issues.filter(({ severity }) => severity === 'error')).toMatchObject([{ code: 'config.open_proxy' }])
  })

  test.each([
    '{ name: a, host: 127.0.0.1, authentication: anonymous }',
    '{ name: a, host: 192.0.2.1, tls: true }',
    "{ name: a, host: 192.0.2.1, endpoint: { kind: ip, networks: ['192.0.2.0/24'] } }",
  ])('SS-06: one on loopback, with a login or with a list of sources is not: %s', (listener) => {
    expect(load(`${IPS}listeners: [${listener}]\n`).listeners).toHaveLength(1)
  })

  test('the smallest file is one dedicated IP; a bare account is a lab, too', () => {
    expect(load('dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]').listeners).toHaveLength(1)
    expect(load('dedicated_ips: []').dedicatedIps).toEqual([])
  })
})

describe('`tls` of a listener', () => {
  test.each([
    ['{ alpn: [http/1.1] }', { mode: 'optional', alpn: ['http/1.1'] }],
    [
      '{ certificate: /c, key: /k, alpn: [h2] }',
      { mode: 'required', alpn: ['h2'], files: { certificate: '/c', key: '/k' } },
    ],
    ['true', { mode: 'required' }],
    ['false', { mode: 'refused' }],
  ])('%s', (text, expected) => {
    expect(load(`${IPS}listeners: [{ name: a, tls: ${text} }]\n`).listeners[0]?.tls).toEqual(expected)
  })

  test.each(['{ certificate: /c }', '{ key: /k }', '{ alpn: [] }', '{ alpn: [spdy/3] }', '{}'])('never %s', (text) => {
    const { config, issues } = checkConfigText('lab.yaml', `${IPS}listeners: [{ name: a, tls: ${text} }]\n`)
    expect(config).toBeUndefined()
    expect(issues).toMatchObject([{ severity: 'error', line: 2 }])
  })
})

describe('rules', () => {
  test('of a rules file follow the others, with positions of their own', () => {
    const path = directory({
      'lab.yaml': `${IPS}rules: [{ name: first, traffic: "true_field" }]\nrules_file: more.yaml\n`,
      'more.yaml': '- name: second\n  traffic: |\n\n    net.dst.port == 22\n    or net.dst.port == 23\n',
    })
    const { rules } = loadConfig(join(path, 'lab.yaml'))
    expect(rules.map(({ name, precedence }) => [name, precedence])).toEqual([
      ['first', 1000],
      ['second', 2000],
    ])
    expect(rules[0]?.expressionPositions).toEqual({ traffic: { line: 2, column: 34 } })
    const file = join(path, 'more.yaml')
    expect(rules[1]?.position).toEqual({ file, line: 1, column: 3 })
    expect(rules[1]?.traffic).toBe('\nnet.dst.port == 22\nor net.dst.port == 23\n')
  })

  test('of a rules file are checked together with the others, and mistakes name their file', () => {
    const path = directory({
      'lab.yaml': `${IPS}rules: [{ name: first, precedence: 7 }]\nrules_file: more.yaml\n`,
      'more.yaml': '- { nam: x }\n- { name: second, precedence: 7 }\n',
    })
    const { issues } = checkConfig(join(path, 'lab.yaml'))
    expect(issues.map(({ file, line, column, message }) => [file, line, column, message])).toEqual([
      [join(path, 'more.yaml'), 1, 3, 'the key `name` is missing'],
      [join(path, 'more.yaml'), 1, 5, 'unknown key `nam`'],
      [join(path, 'more.yaml'), 2, 31, 'the precedence 7 is already taken by the rule `first`'],
    ])
  })

  test.each([
    ['plain', 'traffic: net.dst.port == 22', 14],
    ['in double quotes', 'traffic: "net.dst.port == 22"', 15],
    ['in single quotes', "traffic: 'net.dst.port == 22'", 15],
  ])('[R11] an expression %s is placed at its first character', (_how, line, column) => {
    const { rules } = load(`${IPS}rules:\n  - name: one\n    ${line}\n`)
    expect(rules[0]?.expressionPositions.traffic).toEqual({ line: 4, column })
    expect(rules[0]?.traffic).toBe('net.dst.port == 22')
  })

  test.each(['|', '|-', '>', '|2'])(
    '[R11] an expression in a block %s is placed at the first character of its text',
    (mark) => {
      const indent = mark === '|2' ? '      ' : '        '
      const { rules } = load(`${IPS}rules:\n  - name: one\n    identity: ${mark} # why\n${indent}a\n${indent}or b\n`)
      expect(rules[0]?.expressionPositions.identity).toEqual({ line: 5, column: indent.length + 1 })
    },
  )

  test('[R3] without a precedence count up from the largest so far', () => {
    const { rules } = load(
      `${IPS}rules: [{ name: a }, { name: b, precedence: 5000 }, { name: c, precedence: 0 }, { name: d }]`,
    )
    expect(rules.map(({ precedence }) => precedence)).toEqual([1000, 5000, 0, 6000])
  })

  test('[R4] without egress settings, and with null, mean default egress', () => {
    const { rules } = load(`${IPS}rules: [{ name: a }, { name: b, egress: null }]`)
    expect(rules.map(({ egress }) => egress)).toEqual([null, null])
  })

  test('[R6] [R7] the fallback may be 0.0.0.0 or absent, and a range is kept as written', () => {
    const { rules } = load(
      `${IPS}rules: [{ name: a, egress: { ipv4: 203.0.113.10, ipv4_fallback: 0.0.0.0, ipv6: "2001:DB8:10::1/64" } }, { name: b, egress: { ipv4: 203.0.113.10 } }]`,
    )
    expect(rules.map(({ egress }) => egress)).toEqual([
      { ipv4: '203.0.113.10', ipv4Fallback: '0.0.0.0', ipv6: '2001:DB8:10::1/64' },
      { ipv4: '203.0.113.10', ipv4Fallback: null, ipv6: '2001:db8:10::/64' },
    ])
  })

  test('[R9] of other kinds are kept', () => {
    const { rules } = load(`${IPS}rules: [{ name: a, action: block, filters: [dns], traffic: dns.fqdn == "x" }]`)
    expect(rules[0]).toMatchObject({ action: 'block', filters: ['dns'], traffic: 'dns.fqdn == "x"' })
  })
})

describe('what nobody wrote down', () => {
  test('ids are the same at every start, and differ between kinds and names', () => {
    const text = `${IPS}virtual_networks: [{ name: a }, { name: b }]\nusers: [{ email: a@b.test }]\nrules: [{ name: a }]\n`
    const [first, second] = [load(text), load(text)]
    const ids = [...first.virtualNetworks, ...first.rules, ...first.users.map(({ identity }) => identity)].map(
      ({ id }) => id,
    )
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(second.virtualNetworks).toEqual(first.virtualNetworks)
    expect(second.account.id).toMatch(/^[0-9a-f]{32}$/)
  })

  test('an id hangs on the name alone, letter case aside: pinned, because rules and recordings hold ids', () => {
    const ids = ['vnet-EMEA', 'VNET-emea'].map(
      (name) => load(`${IPS}virtual_networks: [{ name: ${name} }]`).virtualNetworks[1]?.id,
    )
    expect(ids).toEqual(['16b1c326-09e6-59ef-ac02-ecef454cdfe6', '16b1c326-09e6-59ef-ac02-ecef454cdfe6'])
  })

  test('a default virtual network is always there: marked, or named so, or added', () => {
    const names = (text: string) =>
      load(`${IPS}virtual_networks: ${text}`).virtualNetworks.map(({ name, isDefault }) =>
        isDefault ? `${name}!` : name,
      )
    expect(names('[{ name: a }, { name: b, default: true }]')).toEqual(['a', 'b!'])
    expect(names('[{ name: a }, { name: default }]')).toEqual(['a', 'default!'])
    expect(names('[{ name: a }]')).toEqual(['default!', 'a'])
  })

  test('stand-ins take the last number of the public address, or the next one free', () => {
    const config = load(
      'dedicated_ips:\n' +
        '  - { colo: AMS, ipv4: 203.0.113.10 }\n' +
        '  - { colo: LHR, ipv4: 198.51.100.10 }\n' +
        '  - { colo: IAD, ipv4: 192.0.2.12, stand_ins: { ipv4: 127.0.10.11 } }\n' +
        '  - { colo: LAX, ipv4: 192.0.2.11 }\n' +
        '  - { colo: EWR, ipv6: "2001:db8::/64", stand_ins: { ipv6: [127.5.0.1, "::1"] } }\n',
    )
    const standIns = config.dedicatedIps.map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.standIns.map(({ text }) => text))
    expect(standIns).toEqual([['127.0.10.10'], ['127.0.10.12'], ['127.0.10.11'], ['127.0.10.13'], ['127.5.0.1', '::1']])
  })

  test('destinations without a stand-in keep their ports unless the lab runs the origin', () => {
    const { destinations, origins } = load(
      `${IPS}destinations:\n` +
        '  - { name: A.Test., addresses: [198.51.100.1], origin: echo }\n' +
        '  - { name: bücher.test, addresses: [198.51.100.2] }\n' +
        '  - { name: own.test, addresses: [{ public: 198.51.100.3, stand_in: 127.0.0.1, ports: { 80: 9001 } }] }\n',
    )
    expect(
      destinations.map(({ name, addresses }) => [name, addresses[0]?.standIn.text, [...(addresses[0]?.ports ?? [])]]),
    ).toEqual([
      [
        'a.test',
        '127.0.20.1',
        [
          [80, 10_080],
          [443, 10_443],
        ],
      ],
      ['xn--bcher-kva.test', '127.0.20.2', []],
      ['own.test', '127.0.0.1', [[80, 9001]]],
    ])
    expect(origins).toEqual([{ name: 'a.test', kind: 'echo', allow: [], title: 'a.test' }])
  })

  test('two names may share an address that something else serves', () => {
    const { destinations } = load(
      `${IPS}destinations: [{ name: a.test, addresses: [198.51.100.1] }, { name: b.test, addresses: [198.51.100.1] }]`,
    )
    expect(new Set(destinations.map(({ addresses }) => addresses[0]?.standIn.text)).size).toBe(1)
  })
})

interface Node {
  readonly description?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Node>>
  readonly additionalProperties?: Node | boolean
  readonly items?: Node
  readonly [key: string]: unknown
}

function* describedNodes(node: Node, path: string): Generator<[string, Node]> {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    yield [`${path}.${key}`, child]
    yield* describedNodes(child, `${path}.${key}`)
  }
  if (node.items !== undefined) yield* describedNodes(node.items, `${path}[]`)
}

describe('the published schema', () => {
  test('is what its description says', () => {
    expect(schemaViolations()).toEqual([])
  })

  const root: Node = schema as Node
  const nodes = [...describedNodes(root, '')]

  test('describes every property in a sentence', () => {
    const missing = nodes.filter(([, { description = '' }]) => !/^[A-Z`].*\.$/.test(description)).map(([path]) => path)
    expect(missing).toEqual([])
    expect(nodes.length).toBeGreaterThan(120)
  })

  test('and those of policy tests and scenarios are JSON Schema; reading a file relies on it', () => {
    const ajv = createAjv({ validateSchema: true, logger: false })
    for (const each of [LAB, RULE_LIST, POLICY_TESTS, SCENARIO]) expect(ajv.compile(each)).toBeTypeOf('function')
    expect(() => ajv.compile({ type: 'nonsense' })).toThrow('schema is invalid')
  })

  test('gives every section a default, or says what its absence means', () => {
    const silent = Object.entries(root.properties ?? {}).filter(
      ([name, node]) =>
        node.default === undefined &&
        !['egresslab', 'dedicated_ips', 'rules_file', 'groups', 'dns', 'telemetry', 'fleet'].includes(name),
    )
    expect(silent).toEqual([])
  })
})

test('what a configuration does not say is what a policy alone takes for granted', () => {
  const { config } = checkConfigText('lab.yaml', 'dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\n')
  expect(config?.settings).toEqual(DEFAULT_SETTINGS)
})
