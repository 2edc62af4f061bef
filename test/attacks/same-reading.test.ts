// Story: a request that this proxy takes for one is taken for two by the server behind it, or for another one. Mutated requests go through
// the proxy, and whatever it forwards is read by nginx, Node's server, Python's, and a reading of the RFC of the tests' own. What both
// nginx and Squid refuse is not forwarded at all. EGRESSLAB_MESSAGES says how many messages (default 120).

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RIVALS, type RunningProxy } from '../../bench/proxy/rivals.ts'
import { Dice, mutatedMessage } from '../http1/mutated-messages.ts'
import { readByRfc } from '../http1/rfc-reading.ts'
import { type HttpReader, nginxReader, nodeReader, pythonReader, replay } from '../support/http-readers.ts'
import { installed } from '../support/installed.ts'
import { TEST_LIMIT_MS } from '../support/patience.ts'
import { startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const MESSAGES = Number(process.env.EGRESSLAB_MESSAGES ?? 120)
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const nginx = installed('nginx', 'nginx')
const squid = installed('squid', 'squid')
/** one of its own in every run of the tests and every worker */
const PLACE = 10 * Number(process.env.EGRESSLAB_TEST_BLOCK ?? 0) + Number(process.env.VITEST_POOL_ID ?? 0)

/** An origin that answers every request the tests' own reading finds; one text for each connection. */
async function recordingOrigin() {
  const streams: string[] = []
  const { port } = await listen((socket) => {
    const at = streams.push('') - 1
    let unread = ''
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1')
      streams[at] += text
      unread += text
      for (;;) {
        const message = readByRfc('request', unread)
        if (message.kind !== 'message') return
        unread = message.rest === 0 ? '' : unread.slice(-message.rest)
        socket.write(OK)
      }
    })
    socket.on('end', () => socket.end())
  })
  return { port, streams }
}

/** `<METHOD target length>` of every request in these bytes; `length` is `-` for the servers that do not tell it. */
function readings(bytes: string, tellsLength: boolean): string[] {
  const found: string[] = []
  let unread = bytes
  while (unread !== '') {
    const message = readByRfc('request', unread)
    if (message.kind !== 'message') return [...found, message.kind]
    const length = tellsLength ? ` ${message.body.length}` : ''
    found.push(`${message.line[0]} ${message.line[1]}${length}`)
    unread = message.rest === 0 ? '' : unread.slice(-message.rest)
  }
  return found
}

function mutatedRequest(seed: number, port: number): string {
  const text = mutatedMessage('request', new Dice(2 * seed))
  const first = text.replace('http://o.test/', `http://o.test:${port}/`).replace('\r\n', `\r\nHost: o.test:${port}\r\n`)
  return `${first}GET http://o.test:${port}/second HTTP/1.1\r\nHost: o.test\r\n\r\n`
}

test(`what is forwarded of ${MESSAGES} requests means the same to everybody`, {
  timeout: TEST_LIMIT_MS + 100 * MESSAGES,
}, async () => {
  const origin = await recordingOrigin()
  const gateway = await startGateway({ listener: { authentication: 'anonymous' } })
  const readers: HttpReader[] = [await nodeReader(), await pythonReader()]
  if (nginx !== undefined) readers.push(await nginxReader(nginx, 18_210 + PLACE))
  let agreed = 0
  try {
    for (let seed = 1; seed <= MESSAGES; seed++) {
      const request = mutatedRequest(seed, origin.port)
      const before = origin.streams.length
      await replay(gateway.port, request)
      for (const stream of origin.streams.slice(before)) {
        const expected = readings(stream, true)
        if (expected.some((reading) => reading === 'incomplete')) continue
        for (const reader of readers) {
          const answer = await replay(reader.port, stream)
          const tellsLength = reader.name !== 'nginx'
          const seen = [...answer.matchAll(/<(\S+ \S+) (\d*)>/g)]
          const asRead = seen.map(([, line, length]) => (tellsLength ? `${line} ${length}` : line))
          // a server may refuse what it does not want: then it reads nothing behind it either
          const refuses = /HTTP\/1\.1 (?:4|5)\d\d/.test(answer)
          // Python takes several slashes at the start of a target for one
          const text = reader.name === 'Python' ? stream.replace(/^([A-Z]+ )\/+/gm, '$1/') : stream
          const wanted = readings(text, tellsLength).slice(0, refuses ? asRead.length : undefined)
          const facts = { seed, reader: reader.name, request, stream }
          expect({ ...facts, asRead }).toEqual({ ...facts, asRead: wanted })
          if (!refuses) agreed++
        }
      }
    }
  } finally {
    for (const reader of readers) await reader.stop()
  }
  expect(agreed).toBeGreaterThan(MESSAGES / 8)
})

describe.skipIf(nginx === undefined || squid === undefined)('beside nginx and Squid', () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-second-opinion-'))
  let running: RunningProxy | undefined
  let reader: HttpReader | undefined

  beforeAll(async () => {
    running = await RIVALS.find(({ name }) => name === 'Squid')?.start({
      port: 18_460 + PLACE,
      source: `127.0.99.${PLACE + 1}`,
      folder,
    })
    reader = await nginxReader(nginx ?? '', 18_560 + PLACE)
  })
  afterAll(async () => {
    await running?.stop()
    await reader?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('what both refuse is not forwarded', { timeout: TEST_LIMIT_MS + 100 * MESSAGES }, async () => {
    const origin = await recordingOrigin()
    const gateway = await startGateway({ listener: { authentication: 'anonymous' } })
    let refused = 0
    for (let seed = 1; seed <= MESSAGES; seed++) {
      // Squid knows no name of the tests'
      const request = mutatedRequest(seed, origin.port).replaceAll('o.test', '127.0.0.1')
      const [theirs, others] = [await replay(18_460 + PLACE, request), await replay(reader?.port ?? 0, request)]
      if (!isRefusal(theirs) || !isRefusal(others) || isRefusedForLess(request)) continue
      refused++
      const before = origin.streams.join('').length
      const ours = await replay(gateway.port, request)
      expect({ seed, request, ours: isRefusal(ours) }).toEqual({ seed, request, ours: true })
      expect(origin.streams.join('').slice(before)).toBe('')
    }
    expect(refused).toBeGreaterThan(MESSAGES / 20)
  })
})

/** nginx and Squid take a tab for a character of the value where RFC 9110 section 5.5 has it for white space, and nginx no method with small
 *  letters. */
function isRefusedForLess(request: string): boolean {
  return request.includes('\t') || !/^\s*(?:GET|POST|PUT|OPTIONS|CONNECT) /.test(request)
}

/** The first answer says no, or there is none. */
function isRefusal(answer: string): boolean {
  return !/^HTTP\/1\.[01] [123]/.test(answer)
}
