// `npm run bench -- [WHAT …] [--tag TAG]`: the measurements behind every figure in the documentation.

import { parseArgs } from 'node:util'
import { messageOf } from '../src/errors/thrown.ts'
import { enterOwnNetwork } from './own-network.ts'
import { table } from './report.ts'

const MODES = ['connect', 'socks5', 'http', 'relay', 'udp'] as const

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    tag: { type: 'string', default: 'latest' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    mode: { type: 'string', multiple: true, default: [...MODES] },
  },
})

const BENCHES: Readonly<Record<string, (tag: string) => Promise<void>>> = {
  decide: async (tag) => (await import('./decide/run.ts')).benchDecideAll(tag),
  prove: async (tag) => (await import('./prove/run.ts')).benchProveAll(tag),
  start: async (tag) => (await import('./start/run.ts')).benchStart(tag, values.quick),
  library: async (tag) => (await import('./library.ts')).benchLibrary(tag),
  expressions: async (tag) => (await import('./expressions.ts')).benchExpressions(tag),
  change: async (tag) => (await import('./change.ts')).benchChange(tag),
  record: async (tag) => (await import('./record.ts')).benchRecord(tag),
  growth: async () => (await import('./growth/run.ts')).benchGrowth(values.only),
  replay: async (tag) => (await import('./replay/run.ts')).benchReplayAll(tag, values.quick),
  proxy: async (tag) => {
    const { quick, only, mode } = values
    const modes = MODES.filter((each) => mode.includes(each))
    await (await import('./proxy/run.ts')).benchProxyAll({ tag, quick, only, modes })
  },
}

/** They start proxies. */
const ON_OWN_NETWORK: ReadonlySet<string> = new Set(['start', 'proxy', 'growth'])

/** Without a name all of them that measure, one after the other; the curves of growth are drawn only when asked for. */
const wanted = positionals.length > 0 ? positionals : Object.keys(BENCHES).filter((name) => name !== 'growth')
const unknown = wanted.filter((name) => BENCHES[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(
    `usage: npm run bench -- [WHAT …] [--tag TAG], where WHAT is one of ${Object.keys(BENCHES).join(', ')}; start, replay and proxy take --quick, proxy and growth --only NAME, proxy --mode MODE\n`,
  )
  process.exitCode = 2
} else {
  if (wanted.some((name) => ON_OWN_NETWORK.has(name))) enterOwnNetwork()
  await measureInTurn(wanted)
}

/** One that fails does not keep the others from being measured. */
async function measureInTurn(names: readonly string[]): Promise<void> {
  const took: string[][] = []
  for (const [at, name] of names.entries()) {
    const started = performance.now()
    if (names.length > 1) {
      process.stdout.write(`\n## ${name}\n\n`)
      process.stderr.write(`${name}, ${at + 1} of ${names.length}\n`)
    }
    let end = 'measured'
    try {
      await BENCHES[name]?.(values.tag)
    } catch (error) {
      if (names.length === 1) throw error
      end = `failed: ${messageOf(error)}`
      process.stderr.write(`${name} ${end}\n`)
      process.exitCode = 1
    }
    took.push([name, ((performance.now() - started) / 60_000).toFixed(1), end])
  }
  if (names.length > 1) process.stdout.write(`\n${table(['', 'minutes', ''], took)}`)
}
