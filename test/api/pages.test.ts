// The console's files: open to people who come by a link, closed to everything another site could do with them.

import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningApi, runApi } from './running-api.ts'

let api: RunningApi
beforeAll(async () => {
  api = await runApi()
})
afterAll(() => api.close())

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const get = (path: string, headers: Record<string, string> = {}) => fetch(api.url + path, { headers })

describe('pages', () => {
  test('let no inline and no foreign code run, and are in nobody’s frame', async () => {
    const { headers } = await get('/me')
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })

  test('are asked for again and not sent again while they are the same', async () => {
    const first = await get('/me')
    expect([first.status, first.headers.get('cache-control')]).toEqual([200, 'no-cache'])
    const again = await get('/me', { 'if-none-match': first.headers.get('etag') ?? '' })
    expect([again.status, await again.text()]).toEqual([304, ''])
  })

  test('stay for good where the name has the hash in it', async () => {
    const { headers } = await get('/assets/me-1.js')
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
  })

  test.each(['/assets/../me', '/assets/%2e%2e/me', '/me/', '/ME', '/assets/', '//me', '/assets/me-1.js/..'])(
    'AP-05: %s is none of them',
    async (path) => {
      expect(await raw('GET', path, {})).toBe(401)
    },
  )

  test('may be linked to from another site, and be nothing else to it (AP-01)', async () => {
    const linked = await raw('GET', '/me', { ...NAVIGATION, 'sec-fetch-site': 'cross-site' })
    expect(linked).toBe(200)
    expect(await raw('GET', '/me', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(403)
    const framed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }
    expect(await raw('GET', '/me', framed)).toBe(403)
    expect(await raw('POST', '/me', { ...NAVIGATION, 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await raw('GET', '/lab/v1/health/live', { ...NAVIGATION, 'sec-fetch-site': 'cross-site' })).toBe(403)
  })

  test('AP-02: are not served under a foreign name', async () => {
    expect(await raw('GET', '/me', { ...NAVIGATION, host: 'evil.example' })).toBe(421)
  })
})

/** With headers fetch would not send. */
function raw(method: string, path: string, headers: Record<string, string>): Promise<number> {
  const url = new URL(api.url)
  return new Promise((resolve, reject) => {
    const sent = request({ host: url.hostname, port: url.port, method, path, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.on('error', reject)
    sent.end()
  })
}
