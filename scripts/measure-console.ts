// How smooth the console stays: holds many connections open through a lab of its own, lets others come and go, and counts the frames
// a real Chromium paints meanwhile, on the map and in the table while it is scrolled. Prints one JSON line per view; exit 1
// below 50 frames per second. `node scripts/run.mjs scripts/measure-console.ts [sessions] [new per second]`

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import type { CDPSession, Page } from 'playwright-core'
import { findChromium, openBrowser } from '../test/console/browser.ts'
import { openTunnel } from '../test/console/held-tunnel.ts'
import { configFileOf, TOKEN, visit } from '../test/console/running-lab.ts'
import { buildConsole } from './build-console.mjs'

const [sessions = 5000, perSecond = 50] = process.argv.slice(2).map(Number)
const SECONDS = 8
const ENOUGH = 50
const PEOPLE = ['alice', 'bob', 'carol', 'dave', 'bob;vnet=vnet-AMER', 'carol;vnet=vnet-EMEA', 'dave;vnet=vnet-AMER']

const executable = findChromium()
if (executable === undefined) process.exit(2)
const problem = buildConsole(process.execPath)
if (problem !== undefined) throw new Error(problem)
const lab = await startLabProcess()
const origin = createServer((socket) => socket.on('error', () => undefined).resume())
origin.listen(0, '127.0.0.1')
await once(origin, 'listening')
const address = origin.address()
const port = typeof address === 'object' && address !== null ? address.port : 0

const held: Socket[] = []
for (let opened = 0; opened < sessions; opened += 100) {
  const batch = Array.from({ length: Math.min(100, sessions - opened) }, (_, at) => tunnel(opened + at))
  held.push(...(await Promise.all(batch)))
}
const browser = await openBrowser({ executable, width: 1440, height: 900 })
await visit(browser.page, { url: `http://127.0.0.1:${lab.api}` }, '/')
const churn = setInterval(() => void comeAndGo(), 1000 / Math.max(perSecond, 0.001))
await browser.page.goto('about:blank')
const control = await measure(browser.page, false)
process.stdout.write(`${JSON.stringify({ view: 'an empty page, for comparison', ...control })}\n`)
let good = true
for (const [path, scroll] of [
  ['/', false],
  ['/sessions', false],
  ['/sessions', true],
] as const) {
  await visit(browser.page, { url: `http://127.0.0.1:${lab.api}` }, path)
  const session = await browser.context.newCDPSession(browser.page)
  await session.send('Performance.enable')
  const before = await busySeconds(session)
  const result = await measure(browser.page, scroll)
  const busy = Math.round(((await busySeconds(session)) - before) * 100) / SECONDS
  good &&= result.frames_per_second >= ENOUGH
  process.stdout.write(
    `${JSON.stringify({ view: path, scrolling: scroll, open_sessions: held.length, ...result, busy_percent: Math.round(busy) })}\n`,
  )
}
clearInterval(churn)
await browser.close()
for (const socket of held) socket.destroy()
origin.close()
lab.kill()
process.exit(good ? 0 : 1)

function tunnel(number: number): Promise<Socket> {
  return openTunnel(lab.proxy, PEOPLE[number % PEOPLE.length] ?? 'bob', `127.0.0.1:${port}`)
}

async function comeAndGo(): Promise<void> {
  const socket = await tunnel(Math.floor(performance.now()))
  socket.end()
}

/** Time the page's main thread has spent on tasks. */
async function busySeconds(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics')
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0
}

/** Frames per second as the page itself counts them, and the longest pause between two. */
function measure(page: Page, scroll: boolean): Promise<{ frames_per_second: number; longest_frame_ms: number }> {
  return page.evaluate(`new Promise((resolve) => {
    const rows = ${scroll} ? document.querySelector('.rows') : null
    const started = performance.now()
    let [frames, longest, before] = [0, 0, started]
    const tick = (now) => {
      frames++
      longest = Math.max(longest, now - before)
      before = now
      if (rows !== null) rows.scrollTop = (rows.scrollTop + 60) % (rows.scrollHeight - rows.clientHeight)
      if (now - started < ${SECONDS * 1000}) return requestAnimationFrame(tick)
      const rate = (frames * 1000) / (now - started)
      resolve({ frames_per_second: Math.round(rate * 10) / 10, longest_frame_ms: Math.round(longest) })
    }
    requestAnimationFrame(tick)
  })`)
}

/** The shipped lab as a process of its own, so that descriptors suffice for all the connections. */
async function startLabProcess(): Promise<ChildProcess & { readonly proxy: number; readonly api: number }> {
  const [proxy, api] = [await freePort(), await freePort()]
  const shipped = readFileSync('config/lab.yaml', 'utf8').replace('port: 8080', `port: ${proxy}`)
  const own = `${shipped.replace('port: 8090', `port: ${api}`)}\nstand_ins:\n  network: 127.${64 + (process.pid % 180)}.0.0/16\n`
  const args = ['src/main.ts', 'start', '-c', configFileOf(own), '--ephemeral']
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, EGRESSLAB_API_TOKEN: TOKEN },
  })
  for await (const text of child.stderr) if (String(text).includes('proxy')) break
  child.stderr.resume()
  return Object.assign(child, { proxy, api })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
