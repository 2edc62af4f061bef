// Every shipped configuration loads, compiles, and does what the comment at its top says: its commands are run by a shell
// against a lab started on it, with free ports and stand-ins of its own.

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkConfig, loadConfig } from '../../src/config/load.ts'
import { startLab } from '../../src/lab/start-lab.ts'
import { compileRuleset } from '../../src/policy/ruleset.ts'
import { portRewriter, printed, readProof, startProgram } from '../support/example-proof.ts'
import { ownNetwork } from '../support/own-network.ts'

const EXAMPLES = readdirSync('config/examples').filter((name) => name.endsWith('.yaml'))
const TOUR = readdirSync('config/tour').map((name) => `config/tour/${name}`)
const FILES = ['config/lab.yaml', ...EXAMPLES.map((name) => `config/examples/${name}`), ...TOUR]
const SHIPPED_STAND_INS = '127.0.'
const STAND_INS = ownNetwork(4).replace('0.0/16', '')

test('there are examples', () => {
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(20)
})

describe.each(FILES)('%s', (file) => {
  const text = readFileSync(file, 'utf8')
  const proof = readProof(text)

  test('loads without a warning, and its rules compile', () => {
    const { config, issues } = checkConfig(file)
    expect(issues).toEqual([])
    expect(compileRuleset(config?.rules ?? [], config?.lists ?? [], loadConfig(file).settings).problems).toEqual([])
  })

  test('names the schema for editors, and says how to see that it works', () => {
    expect(text).toMatch(/^# yaml-language-server: \$schema=(\.\.?)\/lab\.schema\.json\n/)
    expect(proof.commands.length).toBeGreaterThan(0)
    for (const { output } of proof.commands) expect(output).not.toBe('')
  })

  test('does what it says', async () => {
    const programs = await Promise.all(proof.programs.map(startProgram))
    const lab = await startLab({
      configFile: file,
      state: mkdtempSync(join(tmpdir(), 'example-')),
      ephemeral: true,
      portsFromZero: true,
      standInNetwork: `${STAND_INS}0.0/16`,
    })
    try {
      const { listeners, api } = loadConfig(file)
      const rewrite = portRewriter([...listeners, api], [...lab.listeners, lab.api])
      for (const { command, output } of proof.commands) {
        const promised = output.replaceAll(`from ${SHIPPED_STAND_INS}`, `from ${STAND_INS}`)
        expect(`$ ${command}\n${await printed(command, rewrite)}`).toBe(`$ ${command}\n${promised}`)
      }
    } finally {
      await lab.close()
      for (const program of programs) program.kill()
    }
  })
})
