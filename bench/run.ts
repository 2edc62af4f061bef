// `npm run bench -- [WHAT …] [--tag TAG]`: the measurements behind every figure in the documentation.

import { parseArgs } from 'node:util'
import { enterOwnNetwork } from './own-network.ts'

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
  replay: async (tag) => (await import('./replay/run.ts')).benchReplayAll(tag),
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
    `usage: npm run bench -- [WHAT …] [--tag TAG], where WHAT is one of ${Object.keys(BENCHES).join(', ')}; start and proxy take --quick, proxy and growth --only NAME, proxy --mode MODE\n`,
  )
  process.exitCode = 2
} else {
  if (wanted.some((name) => ON_OWN_NETWORK.has(name))) enterOwnNetwork()
  for (const name of wanted) {
    if (wanted.length > 1) process.stdout.write(`\n## ${name}\n\n`)
    await BENCHES[name]?.(values.tag)
  }
}
