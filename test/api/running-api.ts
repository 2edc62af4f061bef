// A running API on a real port over a real store, for tests. What belongs to the data path is held in plain arrays.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ApiAddress,
  type ApiPorts,
  consoleSessionOf,
  type DiagnosticsPort,
  type SessionPage,
  type SessionsPort,
  startApi,
} from '../../src/api/index.ts'
import type { LabConfig } from '../../src/config/lab-config.ts'
import { createLogpush } from '../../src/log/logpush.ts'
import { openRuleUses } from '../../src/log/rule-uses.ts'
import type { LiveSession } from '../../src/proxy/live-sessions.ts'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { openAccessTokens } from '../../src/store/access-tokens.ts'
import { openApiToken } from '../../src/store/api-token.ts'
import { openAuditLog } from '../../src/store/audit-log.ts'
import { type Journal, memoryJournal } from '../../src/store/journal.ts'
import { openPolicyHistory } from '../../src/store/policy-history.ts'
import { createStore, type Store } from '../../src/store/store.ts'
import { ACCOUNT_ID, labConfig } from '../store/lab.ts'

export const TOKEN = 'a-token-for-tests-of-the-api'
export const BOB = { email: 'bob@example.com', password: 'lab-bob' }

export interface RunningApi {
  readonly url: string
  readonly store: Store
  readonly live: LiveSession[]
  readonly closed: string[]
  readonly questions: unknown[]
  readonly notices: string[]
  /** lets a session finish */
  finish(record: SessionRecord): void
  /** `fetch` with the token and JSON; the body is the parsed answer */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered>
  /** below `/client/v4/accounts/{account_id}` */
  cloudflare(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered>
  close(): Promise<void>
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: Envelope
}

/** The envelope, loosely: tests look into results of every shape. */
export interface Envelope {
  readonly result: Result
  readonly success: boolean
  readonly errors: readonly { code: number; message: string; source?: { pointer: string }; details?: unknown }[]
  readonly messages: readonly { code: number; message: string }[]
  readonly result_info?: { page: number; per_page: number; count: number; total_count: number; total_pages: number }
}

// biome-ignore lint/suspicious/noExplicitAny: results are of many shapes, and tests assert theirs
type Result = any

export async function runApi(
  options: {
    config?: Partial<LabConfig>
    journal?: Journal
    ports?: Partial<ApiPorts>
    address?: Partial<ApiAddress>
  } = {},
): Promise<RunningApi> {
  const notices: string[] = []
  const store = createStore(labConfig(options.config), {
    onNotice: ({ message }) => notices.push(message),
    ...(options.journal === undefined ? {} : { journal: options.journal }),
  })
  const live: LiveSession[] = []
  const closed: string[] = []
  const questions: unknown[] = []
  const doors = new Set<string>()
  const sessions = sessionsOver(live, closed)
  const ruleUses = await openRuleUses({
    files: [],
    now: store.now(),
    onNotice: (message) => notices.push(message),
  })
  sessions.subscribe((record) => ruleUses.add(record))
  const ports: ApiPorts = {
    plane: store,
    sessions,
    ruleUses,
    diagnostics: { ...NOTHING_SEEN, open: () => live.map((session) => ({ session, decided: undefined })) },
    page: (path) => PAGES[path],
    listeners: () => [],
    authority: () => '-----BEGIN CERTIFICATE-----\n',
    endpoints: {
      open: async ({ id }) => {
        doors.add(id)
        return 8089
      },
      shut: (id) => doors.delete(id),
      addressOf: (id) => (doors.has(id) ? { host: '127.0.0.1', port: 8089 } : undefined),
    },
    token: openApiToken({ given: TOKEN }),
    policyHistory: openPolicyHistory(memoryJournal().table('policy'), store, {
      onProblem: (message) => notices.push(message),
    }),
    audit: openAuditLog({
      table: memoryJournal().table('audit'),
      keepMs: 86_400_000,
      onProblem: (message) => notices.push(message),
    }),
    tokens: openAccessTokens(memoryJournal().table('token'), consoleSessionOf),
    explain: async (question) => {
      questions.push(question)
      return { asked: question.destination }
    },
    matrix: async () => ({ connections: 0, rows: [], columns: [], scenarios: [], verdicts: [], cells: [] }),
    checkUser: async (user, password) =>
      user.split(';')[0]?.toLowerCase() === BOB.email && password === BOB.password ? BOB.email : undefined,
    users: () => [{ email: BOB.email, name: 'Bob', groups: ['Sales'] }],
    catalogue: () => ({
      postureChecks: [{ id: '6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7e01', name: 'disk-encryption' }],
      applications: [{ id: 1005, name: 'ESPN' }],
      contentCategories: [{ id: 146, name: 'espn.com' }],
    }),
    status: {
      version: '1.2.3',
      engine: 'node',
      geoDatabases: () => ['city ipv4'],
      startedAt: 0,
      counts: () => ({
        active: 1,
        opened: 2,
        closed: 1,
        refused: { 'dial.refused': 4 },
        bytesReceived: 5,
        bytesSent: 6,
      }),
      troubles: async () => [],
      unready: async () => [],
      portUse: () => [{ egress: '203.0.113.10', used: 7 }],
      portLimit: () => ({ refused: 2, pressure: { 80: 3, 95: 0, 100: 0 } }),
      egressHealth: () => ({ outages: [], faults: [] }),
      datagrams: () => ({ associations: 1, sent: 5, received: 4, dropped: { stranger: 6 } }),
    },
    logpush: createLogpush({
      accountId: ACCOUNT_ID,
      folder: join(tmpdir(), `egresslab-logpush-${process.pid}`),
      roots: [],
      userAgent: 'egresslab',
      onProblem: (message) => notices.push(message),
    }),
    notice: (message) => notices.push(message),
    ...options.ports,
  }
  const server = await startApi({ host: '127.0.0.1', port: 0, ...options.address }, ports)
  const url = `http://127.0.0.1:${server.port}`
  const ask: RunningApi['ask'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, body: (await response.json()) as Envelope }
  }
  return {
    url,
    store,
    live,
    closed,
    questions,
    notices,
    finish: sessions.finish,
    ask,
    cloudflare: (method, path, body, headers) => ask(method, `/client/v4/accounts/${ACCOUNT_ID}${path}`, body, headers),
    close: async () => {
      await server.close()
      store.close()
    },
  }
}

/** What stands in for the built console. */
const PAGES: Readonly<Record<string, SessionPage>> = {
  '/me': { contentType: 'text/html; charset=utf-8', body: '<!doctype html><title>me</title>', etag: '"1"' },
  '/assets/me-1.js': { contentType: 'text/javascript; charset=utf-8', body: 'me()', etag: '"2"', immutable: true },
}

const NOTHING_SEEN: DiagnosticsPort = {
  open: () => [],
  findOpen: () => undefined,
  finished: () => [],
  findFinished: () => undefined,
  onOpen: () => () => undefined,
  onFinish: () => () => undefined,
  verify: async () => [],
  origins: async () => [],
}

function sessionsOver(live: LiveSession[], closed: string[]): SessionsPort & { finish(record: SessionRecord): void } {
  const finished: SessionRecord[] = []
  const listeners = new Set<(record: SessionRecord) => void>()
  return {
    live: () => live,
    close: (id) => {
      const at = live.findIndex((session) => session.id === id)
      if (at < 0) return false
      closed.push(id)
      live.splice(at, 1)
      return true
    },
    settle: async (_colo, reset) => ({ reset, count: live.length }),
    recent: () => finished,
    forget: () => finished.splice(0),
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    finish: (record) => {
      finished.push(record)
      for (const listener of listeners) listener(record)
    },
  }
}
