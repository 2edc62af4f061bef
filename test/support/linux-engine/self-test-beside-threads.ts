// Repeats the engine's test of system calls while other threads open and close descriptors. Prints `done`, or what went wrong.

import { closeSync, openSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const THREADS = 2
const ROUNDS = 2_000

if (isMainThread) await repeat()
else openAndClose(new Int32Array(workerData))

async function repeat(): Promise<void> {
  const { loadFfi } = await import('../../../src/transport/linux/load-ffi.ts')
  const { openNative } = await import('../../../src/transport/linux/native.ts')
  const { SystemCalls } = await import('../../../src/transport/linux/system-calls.ts')
  const ffi = loadFfi()
  if (typeof ffi === 'string') throw new Error(ffi)
  const calls = new SystemCalls(openNative(ffi))
  // [0]: how many threads are at work; [1]: they are to end
  const shared = new Int32Array(new SharedArrayBuffer(8))
  const failed: string[] = []
  const threads = Array.from({ length: THREADS }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: shared.buffer })
    worker.on('error', (error) => failed.push(String(error)))
    return new Promise((resolve) => worker.once('exit', resolve))
  })
  while (Atomics.load(shared, 0) < THREADS) await new Promise((resolve) => setImmediate(resolve))
  for (let round = 0; round < ROUNDS; round++) {
    const wrong = calls.selfTest()
    if (wrong !== undefined) failed.push(wrong)
    if (round % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  Atomics.store(shared, 1, 1)
  await Promise.all(threads)
  process.stdout.write(failed.length === 0 ? 'done\n' : `${[...new Set(failed)].join('\n')}\n`)
}

function openAndClose(shared: Int32Array): void {
  Atomics.add(shared, 0, 1)
  while (Atomics.load(shared, 1) === 0) closeSync(openSync('/dev/null', 'r'))
}
