// A policy out of a file, whatever wrote it: a configuration (YAML), an export of the API, Terraform.

import { InputError, type Issue } from '../errors/issue.ts'
import { fromConfiguration } from './from-configuration.ts'
import { fromExport } from './from-export.ts'
import { fromTerraform } from './from-terraform.ts'
import { fromModule, isModulePath } from './from-terraform-module.ts'
import type { PortablePolicy } from './portable-policy.ts'
import { recogniseFile } from './recognise.ts'

/** Reads a file, or a folder of Terraform's. Throws an InputError with everything that is wrong. */
export async function readPolicyFile(file: string): Promise<PortablePolicy> {
  const policy = isModulePath(file) ? await fromModule(file) : readRecognised(file)
  const issues = [...namelessThings(policy), ...repeated(policy)]
  if (issues.length > 0) throw new InputError(issues)
  return policy
}

function readRecognised(file: string): PortablePolicy {
  const found = recogniseFile(file)
  if ('document' in found) return fromConfiguration(found.document)
  return found.kind === 'terraform' ? fromTerraform(file, found.data) : fromExport(file, found.data)
}

function namelessThings({ source, rules, lists, virtualNetworks }: PortablePolicy): Issue[] {
  const nameless = [...rules, ...lists, ...virtualNetworks].filter(({ name }) => name === '').length
  if (nameless === 0) return []
  return [error(source, 'rules.no_name', `${nameless} entries of \`${source}\` have no name`)]
}

function repeated({ source, rules }: PortablePolicy): Issue[] {
  const precedences = Map.groupBy(
    rules.filter(({ precedence }) => precedence !== undefined),
    ({ precedence }) => precedence,
  )
  const ids = Map.groupBy(
    rules.filter(({ id }) => id !== undefined),
    ({ id }) => id,
  )
  const names = (group: readonly { readonly name: string }[]) => group.map(({ name }) => `\`${name}\``).join(' and ')
  return [
    ...[...precedences].flatMap(([precedence, group]) =>
      group.length < 2
        ? []
        : [error(source, 'rules.precedence_taken', `the rules ${names(group)} share the precedence ${precedence}`)],
    ),
    ...[...ids].flatMap(([id, group]) =>
      group.length < 2 ? [] : [error(source, 'rules.id_taken', `the rules ${names(group)} share the id ${id}`)],
    ),
  ]
}

function error(file: string, code: string, message: string): Issue {
  return { severity: 'error', code, message, file }
}
