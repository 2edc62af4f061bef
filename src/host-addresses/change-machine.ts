// Makes changes on this machine, one command after another, each printed before it runs and recorded afterwards; and takes
// exactly those back.

import { execFile } from 'node:child_process'
import type { OwnAddresses } from '../config/stand-ins.ts'
import { inputError } from '../errors/issue.ts'
import type { ChangeRecord } from './change-record.ts'
import { type CommandLine, changeOf, isMade, type SystemChange, showCommand } from './system-commands.ts'

export interface Machine {
  readonly system: NodeJS.Platform
  readonly own: OwnAddresses
  readonly run: (command: CommandLine) => Promise<void>
}

/** Runs and remembers. Throws an InputError at the first command that fails; what was done before it is remembered. */
export async function makeChanges(
  changes: readonly SystemChange[],
  { run }: Pick<Machine, 'run'>,
  record: ChangeRecord,
  say: (line: string) => void,
): Promise<void> {
  for (const { what, add } of changes) {
    say(showCommand(add))
    await run(add)
    record.add(what)
  }
}

/** What was added and is still there, last first. */
export function changesToTakeBack(
  { own, system }: Omit<Machine, 'run'>,
  { added }: ChangeRecord,
): readonly SystemChange[] {
  return added
    .filter((what) => isMade(what, own))
    .map((what) => changeOf(what, system))
    .reverse()
}

/** Takes back what was added; what is gone already (a restart of the machine takes everything) is forgotten. */
export async function takeBackChanges(
  machine: Machine,
  record: ChangeRecord,
  say: (line: string) => void,
): Promise<void> {
  const there = changesToTakeBack(machine, record)
  for (const what of record.added) if (!there.some((change) => change.what === what)) record.remove(what)
  for (const { what, remove } of there) {
    say(showCommand(remove))
    await machine.run(remove)
    record.remove(what)
  }
}

/** Runs a program of the system. Throws an InputError with what it complained of. */
export function runCommand([program, ...args]: CommandLine): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, _stdout, stderr) => {
      if (error === null) return resolve()
      const isMissing = error.code === 'ENOENT'
      const why = isMissing ? 'the program is not installed' : stderr.trim() || error.message
      const hint = isMissing ? HINTS[program] : undefined
      const message = `\`${showCommand([program, ...args])}\` failed: ${why}`
      reject(inputError('address.command_failed', message, { hint }))
    })
  })
}

const HINTS: Readonly<Record<string, string>> = {
  ip: 'install iproute2 (`apt-get install iproute2`)',
  sysctl: 'install procps (`apt-get install procps`)',
}
