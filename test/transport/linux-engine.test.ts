// What only the engine `linux` has to prove: that it stands back where it cannot work, does not spin without descriptors, and takes no
// process with it when a thread ends.

import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Endpoint } from '../../src/net/endpoint.ts'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import { chooseEngine } from '../../src/transport/choose-engine.ts'
import { loadFfi } from '../../src/transport/linux/load-ffi.ts'
import { openNative } from '../../src/transport/linux/native.ts'
import { EINPROGRESS, SystemCalls } from '../../src/transport/linux/system-calls.ts'
import { dialBy, Ear, echoOf, listenBy, pairBy } from '../support/engine-streams.ts'

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
  test('whoever had connected before a listener closes is accepted and not reset', async () => {
    const calls = systemCalls()
    const accepted: ByteStream[] = []
    const listening = await engine.listen({ host: '127.0.0.1', port: 0 }, (stream) => void accepted.push(stream))
    const clients = Array.from({ length: 200 }, () => connectNow(calls, listening.address))
    // no turn of the loop between
    await listening.close()
    expect(accepted.length).toBe(200)
    for (const stream of accepted) {
      echoOf(stream)
      onTestFinished(() => stream.destroy())
    }
    for (const fd of clients) expect(calls.write(fd, Buffer.from('x'))).toBe(1)
    await expect.poll(() => clients.filter((fd) => calls.peek(fd) !== 1)).toEqual([])
  })

  test('what comes behind an urgent byte is read without waiting for more', async () => {
    const calls = systemCalls()
    const accepted = Promise.withResolvers<ByteStream>()
    const fd = connectNow(calls, await listenBy(engine, accepted.resolve))
    sendUrgent(calls, fd, 'before!')
    calls.write(fd, Buffer.from('behind'))
    const ear = new Ear(await accepted.promise)
    await ear.until(({ text }) => text === 'beforebehind')
    sendUrgent(calls, fd, '!')
    calls.write(fd, Buffer.from(', and on'))
    await ear.until(({ text }) => text === 'beforebehind, and on')
  })

  test('a reset behind a FIN is told also where a write finds it and the stream is ended in the same turn', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one)
    other.end()
    await ear.until(({ hasEnded }) => hasEnded)
    other.destroy()
    one.write(Buffer.from('brings the reset'))
    one.write(Buffer.from('meets it'))
    one.end()
    expect(await ear.untilClosed()).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'EPIPE' } })
  })

  test('a reset that comes together with a FIN is told behind it', async () => {
    const [one, other] = await pairBy(engine)
    other.write(Buffer.from('last words'))
    other.end()
    other.reset()
    const ear = new Ear(one)
    expect(await ear.untilClosed()).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'EPIPE' } })
    expect([ear.text, ear.hasEnded]).toEqual(['last words', true])
  })

  test('an engine that closes leaves nothing, and nothing can be begun in it from then on', async () => {
    const { stdout } = await run(process.execPath, ['--no-warnings', script('close-while-dialling')])
    expect(JSON.parse(stdout)).toEqual({ left: 0, told: ['returned', 'destroyed', 'EBADF'] })
  })

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

function systemCalls(): SystemCalls {
  const ffi = loadFfi()
  if (typeof ffi === 'string') throw new Error(ffi)
  return new SystemCalls(openNative(ffi))
}

/** A connection that nobody has accepted yet, closed when the test ends. */
function connectNow(calls: SystemCalls, to: Endpoint): number {
  const fd = calls.tcpSocket(4)
  onTestFinished(() => void calls.close(fd))
  expect(calls.connect(fd, to)).toBe(EINPROGRESS)
  return fd
}

/** The last byte of the text is urgent (send(2), MSG_OOB). */
function sendUrgent({ native }: SystemCalls, fd: number, text: string): void {
  const { send } = new native.ffi.DynamicLibrary(null).getFunctions({
    send: { arguments: ['int32', 'buffer', 'uint32', 'int32'], return: 'int32' },
  })
  expect(send(fd, Buffer.from(text), text.length, 1)).toBe(text.length)
}
