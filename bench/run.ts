// `npm run bench -- WHAT [--tag TAG]`: the measurements behind every figure in the documentation.

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
  start: async (tag) => {
    enterOwnNetwork()
    await (await import('./start/run.ts')).benchStart(tag, values.quick)
  },
  library: async (tag) => (await import('./library.ts')).benchLibrary(tag),
  replay: async (tag) => (await import('./replay/run.ts')).benchReplayAll(tag),
  proxy: async (tag) => {
    enterOwnNetwork()
    const { quick, only, mode } = values
    const modes = MODES.filter((each) => mode.includes(each))
    await (await import('./proxy/run.ts')).benchProxyAll({ tag, quick, only, modes })
  },
}

const bench = BENCHES[positionals[0] ?? '']
if (bench === undefined) {
  process.stderr.write(
    `usage: npm run bench -- WHAT [--tag TAG], where WHAT is one of ${Object.keys(BENCHES).join(', ')}; start and proxy take --quick, proxy --only NAME, --mode MODE\n`,
  )
  process.exitCode = 2
} else {
  await bench(values.tag)
}
