// Every query of the Grafana dashboard against the metrics of a lab that has carried connections: each metric is there, is used as what
// it is, and has the labels that the query groups by.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { openTunnel } from '../console/held-tunnel.ts'
import { curl } from '../support/curl.ts'
import { startPrivateLab } from '../support/private-lab.ts'

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
}
const PANELS: readonly Panel[] = JSON.parse(readFileSync(join(ROOT, 'deploy', 'grafana-dashboard.json'), 'utf8')).panels

/** What Prometheus adds to every sample. */
const ADDED = new Set(['job', 'instance'])

interface Family {
  readonly type: string
  readonly labels: ReadonlySet<string>
}

function familiesIn(text: string): Map<string, Family> {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  const families = new Map([...types].map(([name, type]) => [name, { type, labels: new Set<string>() }]))
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const base = name.replace(/_(bucket|sum|count)$/, '')
    const type = types.get(name) ?? (types.get(base) === 'histogram' ? 'counter' : undefined)
    if (type === undefined) throw new Error(`a sample of no family: ${name}`)
    const family = families.get(name) ?? { type, labels: new Set() }
    families.set(name, family)
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) family.labels.add(label)
  }
  return families
}

test('every query of the dashboard resolves against the real metrics', async () => {
  const { lab, proxy, close } = await startPrivateLab()
  try {
    const proxied = ['-x', proxy, '-U', 'bob@example.com:lab-bob']
    await curl(...proxied, 'http://ipv4.icanhazip.com/')
    await curl(...proxied, 'http://no-such-name.invalid/')
    await curl('-x', proxy, '-U', 'bob@example.com:wrong', 'http://ipv4.icanhazip.com/')
    const open = await openTunnel(lab.listeners[0]?.port ?? 0, 'bob', 'ipv4.icanhazip.com:80')
    const { body } = await curl(
      '-H',
      `Authorization: Bearer ${lab.token()}`,
      `http://${lab.api.host}:${lab.api.port}/metrics`,
    )
    open.destroy()
    const families = familiesIn(body)
    expect(PANELS.length).toBeGreaterThan(10)
    for (const { title, targets } of PANELS) {
      for (const { expr, legendFormat } of targets) {
        const names = [...expr.matchAll(/\begresslab_\w+/g)].map(([name]) => name)
        expect(names.length, title).toBeGreaterThan(0)
        const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
        const selected = [...expr.matchAll(/(\w+)=~?"/g)].map(([, label = '']) => label)
        for (const name of names) {
          const family = families.get(name)
          expect(family, `${title}: ${name}`).toBeDefined()
          expect(family?.type, `${title}: ${name}`).toBe(expr.includes('rate(') ? 'counter' : 'gauge')
          const wanted = [...grouped, ...selected].filter((label) => !ADDED.has(label))
          expect([...(family?.labels ?? [])], `${title}: ${name}`).toEqual(expect.arrayContaining(wanted))
        }
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(grouped, title).toContain(label)
      }
    }
  } finally {
    await close()
  }
})
