// What only the engine `linux` has to prove: that it stands back where it cannot work, does not spin without descriptors, and takes no
// process with it when a thread ends.

import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { chooseEngine } from '../../src/transport/choose-engine.ts'
import { dialBy, Ear, echoOf, listenBy } from '../support/engine-streams.ts'

const run = promisify(execFile)
const engine = chooseEngine('auto', () => {})
const choose = fileURLToPath(new URL('../../src/transport/choose-engine.ts', import.meta.url))

function script(name: string): string {
  return fileURLToPath(new URL(`../support/linux-engine/${name}.ts`, import.meta.url))
}

test('a Node without `node:ffi` gets the engine `node`, and is told why in one line', async () => {
  const code = `import { chooseEngine } from ${JSON.stringify(choose)}
console.log(chooseEngine('linux', console.log).name)`
  const flags = engine.name === 'linux' ? ['--no-experimental-ffi'] : []
  const { stdout } = await run(process.execPath, [...flags, '--input-type=module-typescript', '-e', code])
  const [why, name] = stdout.trim().split('\n')
  expect(name).toBe('node')
  expect(why).toMatch(/^the engine `linux` cannot be used: .+; the engine `node` is used$/)
})

test('the engine `node` is taken without a word where it is asked for', () => {
  const said: string[] = []
  expect(chooseEngine('node', (message) => said.push(message)).name).toBe('node')
  expect(said).toEqual([])
})

describe.runIf(engine.name === 'linux')('engine linux', () => {
  test('a process with nothing open ends by itself, and no warning of `node:ffi` is shown', async () => {
    const code = `import { chooseEngine } from ${JSON.stringify(choose)}
const engine = chooseEngine('linux', console.log)
const listening = await engine.listen({ host: '127.0.0.1', port: 0 }, (stream) => stream.destroy())
engine.dial({ to: listening.address }, {
  onConnect: (stream) => stream.setHandler({
    onReadable() { stream.read(); if (stream.hasEnded) stream.end() },
    onWritable() {},
    onClose: () => listening.close().then(() => console.log('closed')),
  }),
  onFailure: console.log,
})
process.emitWarning('another one', 'ExperimentalWarning')`
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module-typescript', '-e', code])
    expect(stdout).toBe('closed\n')
    expect(stderr).toContain('another one')
    expect(stderr).not.toContain('FFI')
  })

  test('its test of system calls neither fails nor touches a descriptor of another thread', async () => {
    const { stdout } = await run(process.execPath, ['--no-warnings', script('self-test-beside-threads')])
    expect(stdout).toBe('done\n')
  })

  test('out of descriptors it waits instead of spinning, and accepts the rest when there are some again', async () => {
    const node = [process.execPath, '--no-warnings', script('out-of-descriptors')]
    const server = spawn('sh', ['-c', 'ulimit -n 60; exec "$0" "$@"', ...node, 'server', '100'])
    onTestFinished(() => void server.kill('SIGKILL'))
    const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]()
    const port = String((await lines.next()).value)
    const [program = '', ...rest] = node
    const clients = spawn(program, [...rest, 'clients', '100', port])
    onTestFinished(() => void clients.kill('SIGKILL'))
    const { before, turned, accepted } = JSON.parse(String((await lines.next()).value))
    expect(before).toBeGreaterThan(5)
    expect(before).toBeLessThan(60)
    expect(turned).toBeLessThan(200)
    expect(accepted).toBe(100)
  })

  test.each(['close', 'terminate', 'throw', 'exit'])(
    'ten threads with busy engines end by `%s`, and the process goes on with no descriptor of theirs',
    async (how) => {
      const { stdout } = await run(process.execPath, ['--no-warnings', script('threads'), how])
      expect(stdout).toBe('done\n')
    },
  )

  test('the kernel tells round-trip time and retransmissions', async () => {
    const stream = await dialBy(engine, await listenBy(engine, echoOf))
    const ear = new Ear(stream)
    stream.write(Buffer.from('x'))
    await ear.until(({ length }) => length === 1)
    const info = stream.tcpInfo()
    expect(info?.rttUs).toBeGreaterThan(0)
    expect(info?.minRttUs).toBeGreaterThan(0)
    expect(info?.retransmits).toBe(0)
  })
})
