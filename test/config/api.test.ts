// The section `api`: public addresses, TLS and sign-in that cannot work are refused, and what leaves this machine in the clear is warned of.

import { describe, expect, test } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import { checkConfigText } from '../../src/config/load.ts'
import { file } from '../support/tls.ts'

describe('the public address', () => {
  const issuesOf = (api: string) =>
    checkConfigText('lab.yaml', `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\napi: ${api}\n`).issues.filter(
      ({ code }) => code.startsWith('config.'),
    )

  test.each([
    'ftp://tools.corp.example/',
    'https://user@tools.corp.example/',
    'https://tools.corp.example/?a=b',
    'https://tools.corp.example/#a',
    'https://tools.corp.example/a//b',
    'https://tools.corp.example/%61',
    'tools.corp.example',
  ])('%s is no public address', (url) => {
    expect(issuesOf(`{ public_url: "${url}" }`)).toMatchObject([{ severity: 'error', path: ['api', 'public_url'] }])
  })

  test('no sub-path is a path of the lab itself', () => {
    const own = new Set(ROUTES.map(({ path }) => path.split('/')[1]))
    for (const segment of own) {
      expect(issuesOf(`{ public_url: "https://tools.corp.example/${segment}/" }`)).toMatchObject([
        { code: 'config.conflict' },
      ])
    }
    expect(issuesOf('{ public_url: "https://tools.corp.example/egresslab" }')).toEqual([])
  })

  test('plain text that leaves this machine is warned of', () => {
    expect(issuesOf('{ host: 0.0.0.0 }')).toMatchObject([
      { severity: 'warning', code: 'config.insecure', path: ['api', 'host'] },
    ])
    expect(issuesOf('{ host: 0.0.0.0, tls: true }')).toEqual([])
    expect(issuesOf('{ public_url: "http://tools.corp.example/" }')).toMatchObject([
      { severity: 'warning', code: 'config.insecure' },
    ])
    expect(issuesOf('{ public_url: "http://127.0.0.1:8080/" }')).toEqual([])
  })
})

describe('sign-in by a provider', () => {
  const issuesOf = (oidc: string, more = 'public_url: "https://tools.corp.example/"') =>
    checkConfigText('lab.yaml', `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\napi: { ${more}, oidc: ${oidc} }\n`)
      .issues.filter(({ code }) => code.startsWith('config.'))
      .map(({ code, path }) => `${code} ${path?.join('.')}`)
  const GOOD = 'issuer: "https://id.corp.example", client_id: egresslab'

  test('what cannot work is refused', () => {
    expect(issuesOf(`{ ${GOOD}, roles: { viewer: ["*"] } }`)).toEqual([])
    expect(issuesOf(`{ ${GOOD}, roles: { viewer: ["*"] } }`, 'port: 8090')).toEqual(['config.missing_key api.oidc'])
    expect(issuesOf(`{ ${GOOD}, roles: {} }`)).toEqual(['config.missing_key api.oidc.roles'])
    expect(issuesOf(`{ ${GOOD}, scopes: [email], roles: { viewer: [a] } }`)).toEqual([
      'config.missing_key api.oidc.scopes',
    ])
    expect(issuesOf('{ issuer: "http://id.corp.example", client_id: a, roles: { viewer: [a] } }')).toEqual([
      'config.insecure api.oidc.issuer',
    ])
    expect(issuesOf(`{ ${GOOD}, client_secret_file: /nothing, roles: { viewer: [a] } }`)).toEqual([
      'config.unreadable api.oidc.client_secret_file',
    ])
    const secret = file('secret', 'a secret of this lab\n')
    expect(issuesOf(`{ ${GOOD}, client_secret_file: "${secret}", roles: { viewer: [a] } }`)).toEqual([])
  })
})
