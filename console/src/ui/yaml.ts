// Plain data as YAML, as far as policy tests need it: mappings in blocks, everything else as JSON, which YAML takes too.

import type { Json } from '../api/shapes.ts'

/** A test file with this one case. `config`: the configuration it is for. */
export function policyTestFile(test: { readonly [key: string]: Json }, config: string): string {
  const [first = '', ...rest] = lines(test, 0)
  return [`config: ${config}`, 'cases:', `  - ${first}`, ...rest.map((line) => `    ${line}`), ''].join('\n')
}

function lines(value: { readonly [key: string]: Json }, depth: number): string[] {
  const indent = '  '.repeat(depth)
  return Object.entries(value).flatMap(([key, item]) => {
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
      return [`${indent}${key}:`, ...lines(item as { readonly [key: string]: Json }, depth + 1)]
    }
    return [`${indent}${key}: ${scalar(item)}`]
  })
}

function scalar(value: Json): string {
  const isPlain = typeof value === 'string' && /^[A-Za-z][A-Za-z0-9@._-]*( [A-Za-z0-9@._-]+)*$/.test(value)
  const isWord = typeof value === 'string' && /^(true|false|null|yes|no|on|off|y|n)$/i.test(value)
  return isPlain && !isWord ? String(value) : JSON.stringify(value)
}
