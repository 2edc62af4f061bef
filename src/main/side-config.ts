// Two policies as two configurations that differ in nothing else, so that sessions can be decided under the one and the other.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import type { SideBySide } from '../cli/rules-desk.ts'
import { loadConfig } from '../config/load.ts'
import type { PortablePolicy } from '../config/portable-policy.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { InputError } from '../errors/issue.ts'
import { writeYamlPolicy } from '../transfer/write-policy.ts'

interface Sides {
  readonly before: PortablePolicy
  readonly after: PortablePolicy
}

/** Writes them as `before.yaml` and `after.yaml`. Throws an InputError where the configuration itself is not good, or the folder
 *  cannot be written. */
export function writeSides(configFile: string, folder: string, sides: Sides): SideBySide {
  loadConfig(configFile)
  const { data } = readSourceDocument(configFile)
  const write = (name: keyof Sides): string => {
    const file = join(folder, `${name}.yaml`)
    writeFileSync(file, stringify(configOn(Object(data), sides[name], dirname(configFile)), { lineWidth: 0 }))
    return file
  }
  try {
    mkdirSync(folder, { recursive: true })
    return { before: write('before'), after: write('after') }
  } catch (thrown) {
    const reason = thrown instanceof Error && 'code' in thrown ? ` (${String(thrown.code)})` : ''
    const message = `\`${folder}\` cannot be written${reason}`
    throw new InputError([{ severity: 'error', code: 'rules.unwritable', message }])
  }
}

type Section = { readonly [key: string]: unknown }

/** The configuration with this policy's rules. Lists and networks of the policy stand beside those of the file. */
function configOn(data: Section, policy: PortablePolicy, folder: string): Section {
  const written = parse(writeYamlPolicy(policy).text) as Section
  const { rules_file: _, ...rest } = data
  return {
    ...rest,
    ...(data.geo === undefined ? {} : { geo: absolute(Object(data.geo), folder) }),
    rules: written.rules ?? [],
    lists: merged(data.lists, written.lists),
    virtual_networks: merged(data.virtual_networks, written.virtual_networks),
  }
}

function absolute(geo: Section, folder: string): Section {
  const databases: unknown = geo.databases
  if (!Array.isArray(databases)) return geo
  return {
    ...geo,
    databases: databases.map((path: unknown) => (isAbsolute(String(path)) ? path : resolve(folder, String(path)))),
  }
}

/** The policy's win over those of the same name. */
function merged(own: unknown, theirs: unknown): readonly unknown[] {
  const [mine, others] = [Array.isArray(own) ? own : [], Array.isArray(theirs) ? theirs : []]
  const names = new Set(others.map((item: unknown) => String(Object(item).name).toLowerCase()))
  return [...mine.filter((item: unknown) => !names.has(String(Object(item).name).toLowerCase())), ...others]
}
