// One GET through a proxy, in absolute form, as curl -x would send it.

import { Client, errors } from 'undici'
import type { ProxyAnswer, ProxyRequest } from '../cli/services.ts'
import { formatTarget } from '../net/endpoint.ts'

const PATIENCE_MS = 10_000

/** The proxy's or the origin's answer. Throws an Error with a sentence for people when there is none. */
export async function askThroughProxy({ proxy, url, username, password }: ProxyRequest): Promise<ProxyAnswer> {
  const at = formatTarget({ kind: 'name', name: proxy.host, port: proxy.port })
  const client = new Client(`http://${at}`)
  try {
    const { statusCode, headers, body } = await client.request({
      method: 'GET',
      path: url,
      headers: { host: new URL(url).host, ...(username === undefined ? {} : credentials(username, password ?? '')) },
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const status = headers['proxy-status']
    const answer = { status: statusCode, body: await body.text() }
    return typeof status === 'string' ? { ...answer, proxyStatus: status } : answer
  } catch (thrown) {
    throw new Error(failure(thrown, at), { cause: thrown })
  } finally {
    await client.destroy()
  }
}

function credentials(username: string, password: string) {
  return { 'proxy-authorization': `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
}

function failure(thrown: unknown, at: string): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  if (code === 'ECONNREFUSED') return `nothing listens at ${at}; is the lab running (\`npm start\`)?`
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError') return `no answer from ${at} within 10 s`
  if (thrown instanceof errors.UndiciError) return `${at} broke off: ${thrown.message}`
  return `cannot ask ${at}: ${thrown instanceof Error ? thrown.message : String(thrown)}`
}
