// A command in a network of its own, where anybody may add addresses: a user namespace with a network namespace in it, made by
// `unshare` of util-linux. It goes when the command ends, and this machine's own network never sees it.

import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import type { OwnAddresses } from '../config/stand-ins.ts'
import { inputError } from '../errors/issue.ts'
import type { Cidr } from '../net/cidr.ts'
import { changesFor, showCommand } from './system-commands.ts'

const UNSHARE = ['--user', '--map-root-user', '--net', '--', 'sh', '-c'] as const
/** A network nobody has touched. */
const NOTHING: OwnAddresses = { prefixes: [], ipv6NonlocalBind: false }

/** Runs it with this terminal's streams; without a command, the user's shell. Answers its exit code (128 and the signal's number
 *  for one that a signal ended). Throws an InputError where the kernel, or a missing program, does not let it. */
export async function runInOwnNetwork(prefixes: readonly Cidr[], command: readonly string[]): Promise<number> {
  const { changes } = changesFor(prefixes, NOTHING, 'linux')
  const setUp = ['ip link set lo up', ...changes.map(({ add }) => showCommand(add))].join(' && ')
  await tryOnce(setUp)
  const inside = command.length > 0 ? command : [process.env.SHELL ?? 'sh']
  return run(['unshare', ...UNSHARE, `${setUp} && exec "$@"`, 'sh', ...inside])
}

/** Sets such a network up and lets it go again, so that what fails afterwards is the command's affair. */
function tryOnce(setUp: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('unshare', [...UNSHARE, setUp], (error, _stdout, stderr) => {
      if (error === null) return resolve()
      const isMissing = error.code === 'ENOENT'
      const why = isMissing ? '`unshare` is not installed' : stderr.trim().replaceAll('\n', '; ') || error.message
      const message = `cannot create a network namespace: ${why}`
      const hint = isMissing ? 'it is part of util-linux and needs Linux' : advice()
      reject(inputError('address.no_namespace', message, { hint }))
    })
  })
}

/** Switches that keep people without root from having namespaces, by the file they are read from. */
const SWITCHES = [
  ['kernel.unprivileged_userns_clone', '/proc/sys/kernel/unprivileged_userns_clone', '0', '1'],
  ['kernel.apparmor_restrict_unprivileged_userns', '/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1', '0'],
  ['user.max_user_namespaces', '/proc/sys/user/max_user_namespaces', '0', '10000'],
] as const

function advice(): string {
  const shut = SWITCHES.find(([, file, value]) => textOf(file) === value)
  if (shut !== undefined) return `\`sudo sysctl -w ${shut[0]}=${shut[3]}\` permits it on this machine`
  return 'containers often forbid it (Docker: `--security-opt seccomp=unconfined`); `egresslab addresses up`, with root, does not need it'
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return ''
  }
}

/** Ctrl-C and the like are the command's while it runs. */
async function run([program = '', ...args]: readonly string[]): Promise<number> {
  const leaveIt = () => undefined
  const child = spawn(program, args, { stdio: 'inherit' })
  const passOn = () => child.kill('SIGTERM')
  process.on('SIGINT', leaveIt).on('SIGQUIT', leaveIt).on('SIGTERM', passOn)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    })
  } finally {
    process.off('SIGINT', leaveIt).off('SIGQUIT', leaveIt).off('SIGTERM', passOn)
  }
}
