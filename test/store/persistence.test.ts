// What the state on disk promises: found again, never half, never two owners, never silently empty.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import type { LabConfig } from '../../src/config/lab-config.ts'
import type { RuleDocument } from '../../src/config/lab-state.ts'
import { ownVersion } from '../../src/config/own-package.ts'
import { ChangeError } from '../../src/errors/change-error.ts'
import { InputError, type Issue } from '../../src/errors/issue.ts'
import { openJournal, readJournal } from '../../src/store/sqlite-journal.ts'
import { createStore, type Store } from '../../src/store/store.ts'
import { AMER_VNET, configuredRule, EMEA_RULE, labConfig, onNotice } from './lab.ts'

const folders: string[] = []
const open: Store[] = []

afterEach(() => {
  for (const store of open.splice(0)) store.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-state-'))
  folders.push(folder)
  return folder
}

function start(folder: string, config: LabConfig = labConfig(), notices: Issue[] = []): Store {
  const onNotice = (notice: Issue) => void notices.push(notice)
  const store = createStore(config, { journal: openJournal(folder, { onNotice }), onNotice })
  open.push(store)
  return store
}

function restart(store: Store, folder: string, config?: LabConfig, notices?: Issue[]): Store {
  store.close()
  return start(folder, config, notices)
}

function issueOf(action: () => unknown): Issue | undefined {
  try {
    action()
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues[0]
    throw thrown
  }
  return undefined
}

const renamed = (store: Store, name: string): RuleDocument => {
  const rule = store.current().state.rule.get(EMEA_RULE)?.value
  if (rule === undefined) throw new Error('the rule is gone')
  return { ...rule, name }
}

describe('after a restart', () => {
  test('every change is found again, with its history and in its order', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.change((draft) => draft.put('rule', renamed(first, 'London')))
    first.change((draft) => draft.put('virtualNetwork', { id: 'v1', name: 'a', comment: 'naïve ☂', isDefault: false }))
    first.chooseVirtualNetwork('bob@example.com', AMER_VNET)
    first.setColoDown('LHR', true)
    const before = first.current()
    const second = restart(first, folder)
    expect(second.current().state).toEqual(before.state)
    expect(second.current().revision).toBe(before.revision + 1)
    expect(second.chosenVirtualNetwork('bob@example.com')).toBe(AMER_VNET)
    expect([...second.current().account.colosDown]).toEqual(['LHR'])
  })

  test('what the file declares keeps its first timestamps', () => {
    const folder = stateFolder()
    const first = start(folder)
    const { createdAt } = first.current().state.rule.get(EMEA_RULE) ?? {}
    const second = restart(first, folder)
    expect(second.current().state.rule.get(EMEA_RULE)).toMatchObject({ createdAt, version: 1 })
  })

  test("the lab's clock still differs from the machine's by as much", () => {
    const folder = stateFolder()
    const first = start(folder)
    first.setClockOffset(86_400_000)
    expect(restart(first, folder).now() - Date.now()).toBeGreaterThan(86_000_000)
  })
})

describe('when the file changes something', () => {
  const otherName = (name: string) => {
    const { rules } = labConfig()
    return labConfig({ rules: rules.map((rule) => (rule.id === EMEA_RULE ? { ...rule, name } : rule)) })
  }

  test('that nobody changed at run time, the file is followed', () => {
    const folder = stateFolder()
    const second = restart(start(folder), folder, otherName('from the file'))
    expect(second.current().state.rule.get(EMEA_RULE)).toMatchObject({
      value: { name: 'from the file' },
      version: 2,
      source: 'file',
    })
  })

  test('that was changed at run time, the run-time change stays and people are told', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.change((draft) => draft.put('rule', renamed(first, 'by hand')))
    const notices: Issue[] = []
    const second = restart(first, folder, otherName('from the file'), notices)
    expect(second.current().state.rule.get(EMEA_RULE)?.value.name).toBe('by hand')
    expect(notices.map(({ code }) => code)).toEqual(['state.file_moved_on'])
    expect(second.overrides()).toEqual([{ kind: 'rule', id: EMEA_RULE, change: 'changed', fileMovedOn: true }])
    second.revert({ kind: 'rule', id: EMEA_RULE })
    expect(second.current().state.rule.get(EMEA_RULE)?.value.name).toBe('from the file')
    expect(second.overrides()).toEqual([])
  })

  test('that was deleted at run time, it stays deleted until reverted', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.change((draft) => draft.remove('rule', EMEA_RULE))
    const second = restart(first, folder)
    expect(second.current().ruleset.rules.map(({ id }) => id)).not.toContain(EMEA_RULE)
    second.revert('all')
    expect(second.current().ruleset.rules.map(({ id }) => id)).toContain(EMEA_RULE)
    expect(restart(second, folder).overrides()).toEqual([])
  })

  test('by dropping it, it is gone unless somebody changed it at run time', () => {
    const folder = stateFolder()
    const first = start(folder)
    const without = labConfig({ rules: [] })
    first.change((draft) => draft.put('rule', renamed(first, 'by hand')))
    const second = restart(first, folder, without)
    expect(second.current().ruleset.rules.map(({ name }) => name)).toEqual(['by hand'])
  })

  test('one setting at a time: a setting changed at run time does not freeze the others', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.change((draft) => draft.put('setting', { id: 'hostSelector', value: false }))
    const settings = { ...labConfig().settings, noRuleMatched: 'default' as const }
    const second = restart(first, folder, labConfig({ settings }))
    expect(second.current().account.settings).toMatchObject({ hostSelector: false, noRuleMatched: 'default' })
  })
})

describe('a reload while running', () => {
  test('takes the new file in as one revision', () => {
    const store = start(stateFolder())
    const { revision } = store.current()
    store.reload(labConfig({ rules: [] }))
    expect(store.current().revision).toBe(revision + 1)
    expect(store.current().ruleset.rules).toEqual([])
  })

  test('of something that contradicts itself changes nothing (CF-01)', () => {
    const store = start(stateFolder())
    const before = store.current()
    const twice = labConfig().rules.map((rule) => ({ ...rule, precedence: 7 }))
    expect(() => store.reload(labConfig({ rules: twice }))).toThrow(ChangeError)
    expect(store.current()).toBe(before)
  })

  test('with an expression that does not parse changes nothing, and says where', () => {
    const store = start(stateFolder())
    const before = store.current()
    const broken = [configuredRule({ id: EMEA_RULE, name: 'x', precedence: 1, traffic: 'net.dst.prt == 1' })]
    expect(() => store.reload(labConfig({ rules: broken }))).toThrow(/Filter parsing error \(1:1\)/)
    expect(store.current()).toBe(before)
  })
})

describe('with `policy.source: file`', () => {
  const fromFile = (changes: Partial<LabConfig> = {}) => labConfig({ policySource: 'file', ...changes })

  test('rules cannot be changed at run time, everything else can', () => {
    const store = start(stateFolder(), fromFile())
    expect(() => store.change((draft) => draft.remove('rule', EMEA_RULE))).toThrow(/read-only.*lab\.yaml/)
    store.setColoDown('LHR', true)
    expect(store.current().account.colosDown.has('LHR')).toBe(true)
  })

  test('a reload that changes who owns the rules is refused, and says to restart', () => {
    const store = start(stateFolder(), fromFile())
    const before = store.current()
    expect(() => store.reload(labConfig())).toThrow(/policy\.source.*restart/)
    expect(store.current()).toBe(before)
  })

  test('rules changed before are set aside, said so, and come back with `policy.source: api`', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.change((draft) => draft.put('rule', renamed(first, 'by hand')))
    const notices: Issue[] = []
    const second = restart(first, folder, fromFile(), notices)
    expect(second.current().ruleset.rules.map(({ name }) => name)).toContain('EMEA from London')
    expect(notices.map(({ code }) => code)).toEqual(['state.rules_set_aside'])
    second.reload(fromFile({ rules: [configuredRule({ id: EMEA_RULE, name: 'in git', precedence: 5 })] }))
    expect(second.current().ruleset.rules.map(({ name }) => name)).toEqual(['in git'])
    expect(restart(second, folder).current().state.rule.get(EMEA_RULE)?.value.name).toBe('by hand')
  })
})

describe('a state directory', () => {
  test('that another instance uses is refused with its process id (CF-06)', () => {
    const folder = stateFolder()
    start(folder)
    const issue = issueOf(() => openJournal(folder, { onNotice }))
    expect(issue?.code).toBe('state.in_use')
    expect(issue?.message).toContain(`process ${process.pid}`)
  })

  test('can be read beside its owner, which notices nothing', () => {
    const folder = stateFolder()
    const owner = start(folder)
    owner.setColoDown('LHR', true)
    const reader = createStore(labConfig(), { journal: readJournal(folder, onNotice), onNotice })
    expect(reader.current().state).toEqual(owner.current().state)
    reader.setColoDown('LHR', false)
    owner.setColoDown('AMS', true)
    expect([...restart(owner, folder).current().account.colosDown].sort()).toEqual(['AMS', 'LHR'])
  })

  test('that does not exist yet reads as nothing, and is not made by reading', () => {
    const folder = join(stateFolder(), 'none')
    expect(readJournal(folder, onNotice).load()).toEqual([])
    expect(existsSync(folder)).toBe(false)
  })

  test('last used by a newer version is refused, and by an older one is taken over with a notice', () => {
    const folder = stateFolder()
    start(folder).close()
    const usedBy = (version: string) => {
      const database = new DatabaseSync(join(folder, 'lab.db'))
      database.prepare('UPDATE used_by SET version = ?').run(version)
      database.close()
    }
    usedBy('99.0.0')
    for (const attempt of [() => openJournal(folder, { onNotice }), () => readJournal(folder, onNotice)]) {
      expect(issueOf(attempt)).toMatchObject({
        code: 'state.newer',
        message: expect.stringContaining(`was last used by egresslab 99.0.0, and this is ${ownVersion()}`),
      })
    }
    usedBy('0.0.1')
    const notices: Issue[] = []
    start(folder, labConfig(), notices).close()
    expect(notices).toMatchObject([{ code: 'state.taken_over', message: expect.stringContaining('0.0.1') }])
    const later: Issue[] = []
    start(folder, labConfig(), later).close()
    expect(later).toEqual([])
  })

  test('from a newer version is refused, and left as it is (CF-08)', () => {
    const folder = stateFolder()
    start(folder).close()
    const database = new DatabaseSync(join(folder, 'lab.db'))
    database.exec('PRAGMA user_version = 99')
    database.close()
    const before = readFileSync(join(folder, 'lab.db'))
    expect(issueOf(() => openJournal(folder, { onNotice }))?.code).toBe('state.newer')
    expect(readFileSync(join(folder, 'lab.db')).equals(before)).toBe(true)
  })

  test('that holds the database of another program is refused', () => {
    const folder = stateFolder()
    const database = new DatabaseSync(join(folder, 'lab.db'))
    database.exec('CREATE TABLE theirs (a)')
    database.close()
    expect(issueOf(() => openJournal(folder, { onNotice }))?.code).toBe('state.foreign')
  })

  test('that cannot be made is refused, saying why', () => {
    const folder = stateFolder()
    writeFileSync(join(folder, 'file'), '')
    const issue = issueOf(() => openJournal(join(folder, 'file', 'state'), { onNotice }))
    expect(issue).toMatchObject({ code: 'state.unusable' })
    expect(issue?.message).toContain('ENOTDIR')
  })

  test('that is damaged goes on from the last good copy, loudly, and keeps the damaged file (CF-05)', () => {
    const folder = stateFolder()
    const first = start(folder)
    first.setColoDown('LHR', true)
    first.close()
    writeFileSync(join(folder, 'lab.db'), Buffer.alloc(8192, 'not a database '))
    const notices: Issue[] = []
    const second = start(folder, labConfig(), notices)
    expect(notices.map(({ severity, code }) => `${severity} ${code}`)).toEqual(['error state.damaged'])
    expect(second.current().account.colosDown.has('LHR')).toBe(true)
    expect(readdirSync(folder).filter((name) => name.includes('damaged'))).toHaveLength(1)
  })

  test('is readable by its owner only', () => {
    const folder = join(stateFolder(), 'new')
    start(folder)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
  })

  test('forgets its owner when closed', () => {
    const folder = stateFolder()
    start(folder).close()
    expect(existsSync(join(folder, 'owner'))).toBe(false)
  })
})

test('a full disk refuses the change, changes nothing, and the next small change works', () => {
  const folder = stateFolder()
  const store = createStore(labConfig(), { journal: openJournal(folder, { maxBytes: 64 * 1024, onNotice }), onNotice })
  open.push(store)
  const before = store.current()
  const huge = { id: 'huge', name: 'huge', type: 'IP', description: 'x'.repeat(1_000_000), items: [] }
  expect(() => store.change((draft) => draft.put('list', huge))).toThrow(/could not be written to disk/)
  expect(store.current()).toBe(before)
  store.setColoDown('LHR', true)
  expect(store.current().account.colosDown.has('LHR')).toBe(true)
})

test('killed at any moment, no acknowledged write is lost and every start works (CF-05)', async () => {
  const folder = stateFolder()
  const acknowledged: string[] = []
  for (let round = 0; round < 8; round++) {
    const writer = spawn(process.execPath, [join(import.meta.dirname, 'crash-writer.ts'), folder, String(round)])
    const enough = 5 + Math.floor(Math.random() * 40)
    let seen = 0
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged.push(line.split(' ')[1] ?? '')
      if (++seen === enough) writer.kill('SIGKILL')
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit')
    expect(writer.signalCode).toBe('SIGKILL')
    const store = start(folder)
    const { list } = store.current().state
    expect(acknowledged.filter((id) => !list.has(id))).toEqual([])
    for (const id of list.keys()) expect(list.has(id.endsWith('-twin') ? id : `${id}-twin`)).toBe(true)
    store.close()
  }
  expect(acknowledged.length).toBeGreaterThan(40)
})
