// The company of config/examples/company: its rules say the same in every form they are shipped in, and its policy tests and
// its recording hold.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { runPolicyTests } from '../../src/policy-tests/run-policy-tests.ts'
import { RulesSync } from '../../src/rules-sync/rules-sync.ts'

const FOLDER = 'config/examples/company'

test('the company has 41 rules, 5 lists, 3 networks, 12 people and 9 services with allowlists', () => {
  const { rules, lists, virtual_networks, users, destinations } = parse(readFileSync(`${FOLDER}/lab.yaml`, 'utf8'))
  const services = destinations.filter(({ origin }: { origin?: { allow?: string[] } }) => origin?.allow !== undefined)
  const sizes = [rules, lists, virtual_networks, users, services].map((part: unknown[]) => part.length)
  expect(sizes).toEqual([41, 5, 3, 12, 9])
})

test.each(['account.json', 'terraform.json', 'main.tf'])(
  '%s has the rules, lists and networks of lab.yaml',
  async (file) => {
    const sync = new RulesSync({ config: `${FOLDER}/lab.yaml`, state: '.egresslab' })
    const { steps, unchanged } = await sync.plan({
      from: `${FOLDER}/${file}`,
      to: `${FOLDER}/lab.yaml`,
      prune: true,
    })
    expect(steps).toEqual([])
    expect(unchanged).toBe(48)
  },
)

test('main.tf has a resource for everything in terraform.json', () => {
  const source = readFileSync(`${FOLDER}/main.tf`, 'utf8')
  const { resources } = JSON.parse(readFileSync(`${FOLDER}/terraform.json`, 'utf8')).values.root_module
  const written = [...source.matchAll(/^resource "(\w+)" "(\w+)" \{$/gm)].map(([, type, name]) => `${type}.${name}`)
  expect(written).toEqual(resources.map(({ address }: { address: string }) => address))
  for (const { values } of resources) expect(source).toContain(JSON.stringify(values.name))
})

test("the company's policy tests hold, and decide by every rule that can decide", async () => {
  const { files, coverage } = await runPolicyTests([FOLDER])
  expect(files.flatMap(({ cases }) => cases).filter(({ passed }) => !passed)).toEqual([])
  expect(files.flatMap(({ cases }) => cases).length).toBe(40)
  expect(coverage.length).toBe(1)
})
