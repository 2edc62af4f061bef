// The shape of the section `api`: where it listens, how it is addressed, and how people sign in.

import { anyText, block, list, listOf, optional, or, section, text, whole } from './schema.ts'

const GROUPS = (role: string) =>
  list(`Groups whose members are ${role}; \`*\`: everybody who can sign in.`, text('A group.'), { uniqueItems: true })

const OIDC = block(
  'Sign-in to the console by OpenID Connect: authorization code with PKCE. Needs `public_url`; the redirect URI is `<public_url>lab/v1/sign-in/callback`.',
  {
    issuer: text('The issuer, below which `.well-known/openid-configuration` is; https, or http on this machine.', {
      format: 'web-address',
      examples: ['https://id.corp.example'],
    }),
    client_id: text('The id of this lab at the provider.'),
    client_secret_file: optional(
      text(
        'File with the secret of this lab at the provider, seen from this file. Default: a public client, without one.',
      ),
    ),
    scopes: listOf('What is asked for.', text('A scope.'), {
      uniqueItems: true,
      minItems: 1,
      default: ['openid', 'profile', 'email'],
    }),
    groups_claim: text('The claim with the groups of a person: a list of texts, or one text.', { default: 'groups' }),
    roles: block('Which groups have which role; of several, the highest counts.', {
      viewer: GROUPS('viewers'),
      operator: GROUPS('operators'),
      admin: GROUPS('admins'),
    }),
    session: text('How long a person stays signed in, whatever they do.', { format: 'duration', default: '8h' }),
    recheck: text(
      'How often the provider is asked anew for the groups of everybody who is signed in; a role that changed there counts from then on.',
      { format: 'duration', default: '5m' },
    ),
  },
)

/** The section. */
export const API_SECTION = section('The API and console.', {
  host: text('Address to listen on.', { format: 'ip-address', default: '127.0.0.1' }),
  port: whole('Port to listen on; 0 takes a free one.', { minimum: 0, maximum: 65535, default: 8090 }),
  names: list(
    "Host names beside localhost and loopback addresses that clients may call it by, such as a container's.",
    anyText('A host name.', { pattern: '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$' }),
  ),
  public_url: optional(
    text(
      'The address in the browser of people, where a proxy stands in front (TLS, another name, a sub-path): cookies, sign-in, links and PAC files follow it. See docs/team.md.',
      { format: 'public-address', examples: ['https://tools.corp.example/egresslab/'] },
    ),
  ),
  trusted_proxies: list(
    'The proxies in front: what their Forwarded or X-Forwarded-* fields say of the client is believed.',
    text('An address or network.', { format: 'ip-network' }),
    { uniqueItems: true, examples: [['127.0.0.1', '10.0.0.0/8']] },
  ),
  tls: optional(
    or(
      'boolean',
      block(
        'TLS. true: with the development certificate. A certificate and its key: newly read when the files change.',
        {
          certificate: text('PEM file of the certificate and those between it and its authority, seen from this file.'),
          key: text('PEM file of the private key, seen from this file; nobody else may be able to read it.'),
        },
      ),
    ),
  ),
  oidc: optional(OIDC),
  requests_per_minute: whole('Requests of one named token; more are refused. 0: no limit.', {
    minimum: 0,
    maximum: 1000000,
    default: 6000,
  }),
  streams_per_token: whole('Event streams that one token may have open at one time.', {
    minimum: 1,
    maximum: 200,
    default: 32,
  }),
})
