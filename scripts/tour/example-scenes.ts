// The tour's rows that are read off files: every configuration that is shipped proves itself by commands in its comments, every
// scenario by its expectations. A new example is a new scene; nothing is listed here.

import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { readProof } from '../../test/support/example-proof.ts'
import type { ProofScene, ScenarioScene } from './scenes.ts'

/** One scene per configuration with a proof, by name, the shipped lab first. */
export function proofScenes(): ProofScene[] {
  const files = ['config/lab.yaml', ...yamlIn('config/examples'), ...yamlIn('config/tour')]
  return files.map((config) => {
    const text = readFileSync(config, 'utf8')
    return { kind: 'proof' as const, title: titleOf(text), config, proof: readProof(text) }
  })
}

/** One scene per scenario file. */
export function scenarioScenes(): ScenarioScene[] {
  return yamlIn('scenarios').map((file) => {
    const { name } = parse(readFileSync(file, 'utf8')) as { readonly name: string }
    return { kind: 'scenario' as const, title: name, config: file }
  })
}

function yamlIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  return names.sort().map((name) => `${folder}/${name}`)
}

/** The first sentence of the comment a file opens with. */
function titleOf(text: string): string {
  const lines = text.split('\n').slice(1)
  const end = lines.findIndex((line) => !line.startsWith('#') || /^# [$&>] /.test(line))
  const words = lines.slice(0, end).map((line) => line.replace(/^# ?/, ''))
  const [sentence = ''] = words
    .join(' ')
    .trim()
    .split(/(?<=[.:;])\s/)
  return sentence.replace(/[.:;]$/, '')
}

/** Who asks what by a command, in few words. */
export function labelOf(command: string): string {
  const login = /(?:-U|--proxy-user) ['"]?([^'" :]+)/.exec(command)?.[1]
  const url = /(https?:\/\/(?!127\.0\.0\.1:80[89]\d\b)[^\s'"|]+)/.exec(command.replace(/-x \S+/, ''))?.[1]
  const label = url === undefined ? command : [login, url].filter((part) => part !== undefined).join(' → ')
  return label.length > 76 ? `${label.slice(0, 75)}…` : label
}

/** What a command prints, on one line. */
export function onOneLine(output: string): string {
  return output
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join(' ⏎ ')
}
