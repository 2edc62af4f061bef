// How smooth the console stays: holds many connections open through a lab of its own, lets others come and go, and counts the frames
// a real Chromium paints meanwhile, on the map and in the table while it is scrolled. Then it types into the searches of 500 rules
// and 10,000 finished sessions, and asks Chromium how long each key took to be seen. Prints one JSON line per view; exit 1 below
// 50 frames per second, or above 100 ms for a key. `node scripts/run.mjs scripts/measure-console.ts [sessions] [new per second]`

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
const MOST_RULES = 500
const FINISHED = 10_000
/** from a key to the frame that shows what it did */
const LONGEST_KEY_MS = 100
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
for (const socket of held.splice(0)) socket.destroy()
await fillWith(MOST_RULES)
for (const [path, search] of [
  ['/sessions', 'Search sessions'],
  ['/rules', 'Search rules'],
] as const) {
  await visit(browser.page, { url: `http://127.0.0.1:${lab.api}` }, path)
  if (path === '/sessions') await finish(FINISHED)
  const keys = await keyTimes(browser.page, search)
  good &&= keys.longest_key_ms <= LONGEST_KEY_MS
  process.stdout.write(`${JSON.stringify({ view: path, rules: MOST_RULES, finished_sessions: FINISHED, ...keys })}\n`)
}
await browser.close()
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

/** Rules like those people have, as many as are wanted in all. */
async function fillWith(rules: number): Promise<void> {
  const account = (await ask('GET', '/client/v4/accounts')) as { id: string }[]
  const path = `/client/v4/accounts/${account[0]?.id}/gateway/rules`
  const { length } = (await ask('GET', path)) as unknown[]
  for (let at = length; at < rules; at++) {
    const traffic = `any(net.fqdn.domains[*] == "service-${at}.test") and net.dst.port in {443 ${2000 + at}}`
    await ask('POST', path, {
      name: `Service ${at}`,
      action: 'egress',
      precedence: 20_000 + at,
      enabled: true,
      traffic,
    })
  }
}

async function finish(connections: number): Promise<void> {
  for (let done = 0; done < connections; done += 100) {
    const batch = await Promise.all(Array.from({ length: 100 }, (_, at) => tunnel(done + at)))
    for (const socket of batch) socket.destroy()
  }
}

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${lab.api}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const answer = (await response.json()) as { readonly result: unknown; readonly success: boolean }
  if (!answer.success) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`)
  return answer.result
}

/** Types and deletes in a search box; by the Event Timing API a key takes until the next frame is painted, to 8 ms. */
async function keyTimes(
  page: Page,
  label: string,
): Promise<Readonly<Record<string, number>> & { readonly longest_key_ms: number }> {
  await page.evaluate(`(() => {
    window.keyTimes = []
    new PerformanceObserver((list) => {
      for (const { name, duration } of list.getEntries()) if (name === 'keydown') window.keyTimes.push(duration)
    }).observe({ type: 'event', durationThreshold: 16 })
  })()`)
  const box = page.getByLabel(label)
  await box.focus()
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  const keys = [...'service 4', ...Array<string>(9).fill('Backspace')]
  const costs: number[] = []
  for (const key of [...keys, ...keys, ...keys]) {
    const before = await busySeconds(session)
    await page.keyboard.press(key === ' ' ? 'Space' : key)
    await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))')
    costs.push(((await busySeconds(session)) - before) * 1000)
  }
  const times = await page.evaluate<number[]>(
    'new Promise((resolve) => setTimeout(() => resolve(window.keyTimes), 500))',
  )
  const sorted = times.sort((a, b) => a - b)
  // keys that took less than 16 ms are not told of
  const all = [...Array<number>(Math.max(0, costs.length - sorted.length)).fill(16), ...sorted]
  await session.detach()
  return {
    keys: all.length,
    processor_ms_per_key: Math.round(costs.reduce((sum, one) => sum + one, 0) / costs.length),
    processor_ms_at_most: Math.round(Math.max(...costs)),
    median_key_ms: all[Math.floor(all.length / 2)] ?? 0,
    longest_key_ms: all.at(-1) ?? 0,
  }
}

/** Time the page's main thread has spent on tasks, in the session's time domain. */
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
