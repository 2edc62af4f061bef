// docs/configuration.md tells the truth: it names every section and example, and its example file loads.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import schema from '../../config/lab.schema.json' with { type: 'json' }
import { checkConfigText } from '../../src/config/load.ts'

const DOCUMENT = 'docs/configuration.md'
const text = readFileSync(DOCUMENT, 'utf8')

test('every section of the schema stands in its table', () => {
  const named = new Set([...text.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name))
  expect(Object.keys(schema.properties).filter((section) => !named.has(section))).toEqual([])
})

test('every example is linked, and every link leads somewhere', () => {
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => join(dirname(DOCUMENT), target))
  expect(links.filter((link) => !leadsSomewhere(link))).toEqual([])
  const examples = readdirSync('config/examples').filter((name) => name.endsWith('.yaml'))
  expect(examples.map((name) => `config/examples/${name}`).filter((path) => !links.includes(path))).toEqual([])
})

/** The file is there, and so is the heading where the link names one. */
function leadsSomewhere(link: string): boolean {
  const [file = '', anchor] = link.split('#')
  if (!existsSync(file)) return false
  if (anchor === undefined) return true
  const headings = readFileSync(file, 'utf8').match(/^#+ .*$/gm) ?? []
  const anchors = headings.map((line) =>
    line
      .replace(/^#+ /, '')
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
  return anchors.includes(anchor)
}

test('its example file is a whole lab', () => {
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? []
  expect(checkConfigText('lab.yaml', example).issues).toEqual([])
})
