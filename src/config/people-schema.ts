// The people of a configuration file, how they log in and where they connect from, and the listeners they connect to.

import type { Static } from 'typebox'
import { id, place } from './account-schema.ts'
import { anyText, block, flag, list, listOf, oneOf, optional, or, section, tableOf, text, whole } from './schema.ts'

function claim(description: string, byDefault: readonly string[]) {
  const claims = listOf(description, text('A claim.'), { minItems: 1 })
  return or('string', claims, { minLength: 1, default: byDefault })
}

export const PEOPLE_SECTIONS = {
  groups: optional(
    listOf(
      'Groups with an id or mail address of their own. Where this section is present, users can only be in groups it names; where it is not, a group exists by being named.',
      block('One group.', {
        name: text('Its name, unique.', { examples: ['Finance'] }),
        id: optional(text('Its id, any text. Default: a UUID derived from the name.')),
        email: anyText('Its mail address.', { default: '' }),
      }),
    ),
  ),
  users: list(
    'People who may use the proxy.',
    block('One person.', {
      email: text('The user name for the proxy, unique; upper and lower case are the same.', {
        format: 'user-email',
        examples: ['alice@example.com'],
      }),
      name: optional(text("The person's name. Default: the part of the mail address before the @.")),
      id: optional(id('UUID. Default: derived from the mail address.')),
      password: optional(text('The password in plain text, for labs.')),
      password_hash: optional(
        text(
          'The password as scrypt$N$r$p$salt$hash, salt and hash in base64 (docs/configuration.md says how to make one). Without either, nobody can log in as this user, but a listener or source can be them.',
          { format: 'password-hash' },
        ),
      ),
      groups: list('Names of the groups the person is in.', text("A group's name."), { uniqueItems: true }),
      saml_attributes: tableOf(
        'SAML attributes: name to value or list of values.',
        or('string', listOf("The attribute's values.", anyText('One value.'))),
        { default: {} },
      ),
      oidc_claims: tableOf(
        'OIDC claims, as `identity.oidc_claims` has them: name to value or list of values.',
        or('string', listOf("The claim's values.", anyText('One value.'))),
        { default: {} },
      ),
      place: optional(place("Where the person is. Default: where the geo database puts the device's public address.")),
      device: optional(
        text(
          'Name or id of the device connections come from when they name none. Default: the first device whose `user` this is.',
        ),
      ),
      virtual_network: optional(
        text(
          'Name or id of the virtual network the person has chosen when the lab first starts. Default: none, so the default one.',
        ),
      ),
    }),
  ),
  identity_providers: list(
    'Whose tokens (JWT) users may log in with in place of a password.',
    block('One issuer of tokens, known by its public keys: `jwks_url` or `jwks_file`.', {
      name: text('Its name, unique, for logs.', { examples: ['access'] }),
      issuer: text('The `iss` of its tokens, to the letter.', { examples: ['https://team.cloudflareaccess.com'] }),
      audience: or(
        'string',
        listOf('A token has to name one of these in `aud`: one text or a list.', text('An audience.'), { minItems: 1 }),
        { minLength: 1 },
      ),
      jwks_url: optional(
        text(
          'Where its keys are published (JWK Set, RFC 7517). Fetched when a token first needs them, by the lab itself and not through the proxy.',
          { format: 'web-address', examples: ['https://team.cloudflareaccess.com/cdn-cgi/access/certs'] },
        ),
      ),
      jwks_file: optional(text('A file of its keys, seen from this file, in place of `jwks_url`.')),
      algorithms: listOf(
        'Signature algorithms taken. Shared secrets and unsigned tokens never are.',
        oneOf('An algorithm.', [
          'RS256',
          'RS384',
          'RS512',
          'PS256',
          'PS384',
          'PS512',
          'ES256',
          'ES384',
          'ES512',
          'EdDSA',
        ]),
        { minItems: 1, uniqueItems: true, default: ['RS256', 'ES256', 'EdDSA'] },
      ),
      clock_skew: text("How far the issuer's clock may be from the lab's.", { format: 'duration', default: '60s' }),
      claims: section(
        'Where in a token things stand: a claim, or one inside another by a dot, `custom.groups`. Of several, the first that is there counts.',
        {
          email: claim('The mail address.', ['email']),
          id: claim("The user's id.", ['sub']),
          name: claim("The user's name.", ['name', 'custom.name']),
          groups: claim('A list of group names, or of objects with id, name and email.', ['groups', 'custom.groups']),
          saml_attributes: claim('An object of attribute names and values.', ['saml_attributes']),
          oidc_claims: claim(
            'An object of claim names and values. Where a token has none, its own claims count, without those of the protocol.',
            ['oidc_fields', 'custom'],
          ),
        },
      ),
    }),
  ),
  posture_checks: list(
    'Device posture checks by name, so that devices can say which they pass. Rules compare their names or ids.',
    block('One check.', {
      name: text('Its name, unique.', { examples: ['disk-encryption'] }),
      id: optional(id('UUID. Default: derived from the name.')),
    }),
  ),
  devices: list(
    'Devices people connect from.',
    block('One device.', {
      name: text('Its name, unique.', { format: 'choice-name', examples: ['alice-laptop'] }),
      id: optional(id('UUID. Default: derived from the name.')),
      user: optional(text('Mail address of its owner; nobody else can use it. Default: anybody can.')),
      source_ip: optional(
        text('Its public address: `net.src.ip`, and its place through the geo database.', { format: 'ip-address' }),
      ),
      internal_source_ip: optional(
        text(
          'Its private address behind a GRE or IPsec on-ramp: `net.src.internal_src_ip`. Default: it arrives over none.',
          { format: 'ip-address' },
        ),
      ),
      place: optional(place("Where it is. Default: the user's place, else by its public address.")),
      posture: section('Posture checks, by name from `posture_checks`, or by id.', {
        passed: list('Checks it passes.', text("A check's name or id."), { uniqueItems: true }),
        failed: list('Checks it fails.', text("A check's name or id."), { uniqueItems: true }),
      }),
    }),
  ),
  sources: list(
    'Who connects from which network, for clients that cannot log in. The narrowest network counts. Any local process can come from any loopback address.',
    block('One network.', {
      network: text("Peers' addresses.", { format: 'ip-network', examples: ['127.0.0.7/32'] }),
      user: optional(text('Mail address of the user they are.')),
      device: optional(text('Name or id of the device they are on.')),
      virtual_network: optional(text('Name or id of the virtual network they are in.')),
    }),
  ),
  listeners: listOf(
    "The proxy's listeners. Each speaks HTTP, CONNECT, SOCKS4a and SOCKS5 on one port.",
    block('One listener.', {
      name: text('Its name, unique, for logs.', { format: 'choice-name' }),
      host: text('Address to listen on.', { format: 'ip-address', default: '127.0.0.1' }),
      port: whole('Port to listen on; 0 takes a free one.', { minimum: 0, maximum: 65535, default: 8080 }),
      authentication: optional(
        oneOf(
          '`required`: credentials (or a source that is a user) or nothing. `optional`: taken where given. `anonymous`: never asked for. Default: anonymous with `user` or an endpoint of kind ip, else required.',
          ['required', 'optional', 'anonymous'],
        ),
      ),
      user: optional(text('Mail address of the user every client of this listener is.')),
      virtual_network: optional(text('Name or id of the virtual network of its clients.')),
      family: optional(oneOf('Address family of destinations: 4 or 6. Default: both.', [4, 6])),
      endpoint: optional(
        block('Makes this listener a Cloudflare proxy endpoint.', {
          kind: oneOf('`ip`: networks are let in, without identity. `identity`: users log in.', ['ip', 'identity']),
          name: optional(text("Its name. Default: the listener's.")),
          subdomain: optional(
            text(
              'The part before .proxy.cloudflare-gateway.com; rules see the whole as `proxy.endpoint`. Default: derived from the name.',
              { format: 'dns-label', examples: ['3ele0ss56t'] },
            ),
          ),
          sign_in: optional(
            oneOf(
              "Kind identity: `page` sends browsers without a login to a sign-in page at the API's address, for plain-http pages, and remembers them by a cookie. Default: 407 for everybody.",
              ['page'],
            ),
          ),
          networks: list(
            'Kind ip: networks let in, no wider than /8 (IPv4) or /32 (IPv6).',
            text('A network.', { format: 'ip-network' }),
          ),
        }),
      ),
      tls: optional(
        or(
          'boolean',
          block(
            'TLS between client and proxy. Default: taken where the client begins with it, with the development certificate. true: nothing else is taken. false: refused. A certificate and its key: nothing else is taken, and these are presented, newly read when the files change. `alpn` alone: taken as by default.',
            {
              certificate: optional(
                text('PEM file of the certificate and those between it and its authority, seen from this file.'),
              ),
              key: optional(
                text('PEM file of the private key, seen from this file; nobody else may be able to read it.'),
              ),
              alpn: optional(
                listOf(
                  'What is offered to clients by ALPN. Default: h2 and http/1.1. Programs in Go choose h2 and then speak HTTP/1.1 (golang/go#26479): for them offer [http/1.1] alone.',
                  oneOf('A protocol.', ['h2', 'http/1.1']),
                  { minItems: 1, uniqueItems: true },
                ),
              ),
            },
            { minProperties: 1, dependentRequired: { certificate: ['key'], key: ['certificate'] } },
          ),
        ),
      ),
      client_ca: optional(
        text(
          'PEM file of the authorities that sign client certificates, seen from this file. A client with such a certificate is the user whose mail address it has, without a password.',
        ),
      ),
      revoked_certificates: list(
        'Serial numbers of client certificates that count no more, in hex.',
        text('A serial number.', { format: 'serial-number', examples: ['0A:1B:2C'] }),
      ),
      proxy_protocol: optional(
        block("Takes the client's address from a PROXY protocol header (version 1 or 2).", {
          from: listOf(
            'Balancers that are trusted to send one: from these networks it has to come, from others it is never taken.',
            text('A network.', { format: 'ip-network' }),
            { minItems: 1 },
          ),
        }),
      ),
      annotate: flag(
        'HTTP answers and CONNECT replies name their session, egress address and rule: `Egresslab-Session`, `Egresslab-Egress`, `Egresslab-Rule`.',
        false,
      ),
    }),
    { minItems: 1, default: [{ name: 'main' }] },
  ),
}

export type RawUser = Static<typeof PEOPLE_SECTIONS.users>[number]
export type RawIdentityProvider = Static<typeof PEOPLE_SECTIONS.identity_providers>[number]
export type RawDevice = Static<typeof PEOPLE_SECTIONS.devices>[number]
export type RawListener = Static<typeof PEOPLE_SECTIONS.listeners>[number]
