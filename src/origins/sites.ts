// The kinds of test origins that serve HTTP, and what all of them answer at /cdn-cgi/trace, where people look at their
// address and data center. A plain site (espn.com, cloudflare.com) shows the client's address and both of its locations ([E5]).

import { TLSSocket } from 'node:tls'
import { type Cidr, containsIp } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { describePlace, describeView, type OriginClient, type OriginRequest, requestFacts } from './origin-request.ts'
import { factList, html, type OriginAnswer } from './page.ts'

/** A page with the client's address, physical and logical location. */
export function site(request: OriginRequest, client: OriginClient): OriginAnswer {
  const { decision, candidate } = client.attempt
  const facts = {
    seen: client.address.text,
    from: describeView(client.view),
    ingress_colo: decision.ingressColo.code,
    physical_colo: decision.physicalColo?.code ?? 'none',
    logical:
      decision.logical === null ? 'none' : `${decision.logical.colo.code} (${describePlace(decision.logical.place)})`,
    proxied_by_cloudflare: candidate.proxiedByCloudflare ? 'yes' : 'no',
  }
  return {
    status: 200,
    text: `${[request.site.spec.title, ...Object.entries(facts).map(([name, value]) => `${name}: ${value}`)].join('\n')}\n`,
    json: { ...requestFacts(request, client), proxied_by_cloudflare: candidate.proxiedByCloudflare },
    page: {
      title: request.site.spec.title,
      headline: client.address.text,
      tone: 'plain',
      body: factList({
        'Seen from': facts.from,
        'User connected at': facts.ingress_colo,
        'Left Cloudflare at': facts.physical_colo,
        'Geolocates to': facts.logical,
        'Proxied by Cloudflare': facts.proxied_by_cloudflare,
      }),
    },
  }
}

/** `key=value` lines under Cloudflare's names; `colo` is the data center the connection left from. Whoever came by no
 *  proxy endpoint stands for a device client (`warp=on`). */
export function trace(request: OriginRequest, client: OriginClient): OriginAnswer {
  const { decision, flow } = client.attempt
  const { socket } = request.request
  const tls = socket instanceof TLSSocket ? socket : undefined
  const facts = {
    h: request.site.spec.name,
    ip: client.address.text,
    ts: (request.at / 1000).toFixed(3),
    visit_scheme: request.scheme,
    uag: request.request.headers['user-agent'] ?? '',
    colo: (decision.physicalColo ?? decision.ingressColo).code,
    sliver: 'none',
    http: `http/${request.request.httpVersion}`,
    loc: client.view?.place.country ?? 'XX',
    tls: tls?.getProtocol() ?? 'off',
    sni: typeof tls?.servername === 'string' ? 'plaintext' : 'off',
    warp: flow.proxyEndpoint === undefined ? 'on' : 'off',
    gateway: 'on',
    rbi: 'off',
    kex: 'none',
  }
  const lines = Object.entries(facts).map(([name, value]) => `${name}=${value}\n`)
  return {
    status: 200,
    only: 'text',
    text: lines.join(''),
    json: facts,
    page: { title: 'trace', headline: facts.ip, tone: 'plain', body: factList(facts) },
  }
}

/** The client's address in the accepted form; at `/json` always JSON, at `/ip` always plain text. */
export function echo(request: OriginRequest, client: OriginClient): OriginAnswer {
  const facts = requestFacts(request, client)
  const only = ONLY[request.path]
  return {
    status: 200,
    text: `${client.address.text}\n`,
    json: facts,
    ...(only === undefined ? {} : { only }),
    page: {
      title: request.site.spec.title,
      headline: client.address.text,
      tone: 'plain',
      body: factList({
        'Seen from': describeView(client.view),
        'Left the lab at': facts.lab.physical_colo ?? undefined,
        Outcome: facts.lab.outcome,
        Why: facts.lab.reason,
        'Really bound': facts.lab.bound,
        'You asked': `${request.scheme}://${facts.site.name} (${facts.site.address})`,
      }),
    },
  }
}

const ONLY: Readonly<Record<string, 'json' | 'text'>> = { '/json': 'json', '/all.json': 'json', '/ip': 'text' }

/** 200 for an address on the allowlist, 403 for any other. */
export function saas(request: OriginRequest, client: OriginClient): OriginAnswer {
  const { allow, title } = request.site.spec
  const entry = allow.find((range) => containsIp(range, client.address))
  const seen = client.address.text
  const allowed = allow.map(entryText)
  const list = allowed.length === 0 ? 'nobody' : allowed.join(', ')
  const headline = entry === undefined ? `${title} refuses ${seen}` : `${title} lets ${seen} in`
  return {
    status: entry === undefined ? 403 : 200,
    text: `${headline}\nseen: ${seen}\nallowed: ${list}\n`,
    json: {
      allowed: entry !== undefined,
      entry: entry === undefined ? null : entryText(entry),
      allowlist: allowed,
      ...requestFacts(request, client),
    },
    page: {
      title,
      headline,
      tone: entry === undefined ? 'bad' : 'good',
      body: factList({
        'It saw': seen,
        'It lets in': list,
        'Seen from': describeView(client.view),
        'Why this address': client.attempt.decision.reason,
      }),
    },
  }
}

/** A single address is shown without a prefix length. */
function entryText(range: Cidr): string {
  return range.length === (range.family === 4 ? 32 : 128) ? range.base.text : range.text
}

/** The label of the button by language; English for others. */
const SEARCH_WORDS: Readonly<Record<string, string>> = {
  ar: 'بحث',
  de: 'Suche',
  en: 'Search',
  es: 'Buscar',
  fr: 'Rechercher',
  hi: 'खोजें',
  it: 'Cerca',
  ja: '検索',
  ko: '검색',
  nl: 'Zoeken',
  pl: 'Szukaj',
  pt: 'Pesquisar',
  sv: 'Sök',
  tr: 'Ara',
  uk: 'Пошук',
  zh: '搜索',
}

/** A landing page for the country that the site's geolocation database has; English if it is unknown. */
export function search(request: OriginRequest, client: OriginClient): OriginAnswer {
  const country = client.view?.place.country
  const language = languageOf(country)
  const name = country === undefined ? 'International' : nameOf(country, language)
  return {
    status: 200,
    headers: { 'content-language': language },
    text: `country: ${country ?? 'unknown'}\nlanguage: ${language}\nseen: ${client.address.text}\nfrom: ${describeView(client.view)}\n`,
    json: { country: country ?? null, language, country_name: name, ...requestFacts(request, client) },
    page: {
      title: `${request.site.spec.title} · ${name}`,
      language,
      headline: name,
      tone: 'plain',
      body: html`<form role="search" dir="auto"><label>${SEARCH_WORDS[language] ?? SEARCH_WORDS.en ?? ''} <input type="search" name="q" disabled></label></form>
<div lang="en">${factList({ 'Seen as': client.address.text, 'Seen from': describeView(client.view) })}</div>`,
    },
  }
}

/** The most spoken language of a country (Unicode likely subtags), if this page has it; else English. */
function languageOf(country: string | undefined): string {
  if (country === undefined || !/^[A-Z]{2}$/.test(country)) return 'en'
  const { language } = new Intl.Locale('und', { region: country }).maximize()
  return language in SEARCH_WORDS ? language : 'en'
}

function nameOf(country: string, language: string): string {
  return new Intl.DisplayNames([language], { type: 'region' }).of(country) ?? country
}

/** 403 with a curl command that works. `proxy` is the lab's proxy as a URL. */
export function directRequest(request: OriginRequest, proxy: string): OriginAnswer {
  const { name, title } = request.site.spec
  const curl = `curl -x ${proxy} -U 'EMAIL:PASSWORD' ${request.scheme}://${name}/`
  const said = `you came directly from ${formatEndpoint(request.peer)}, not through the lab`
  return {
    status: 403,
    text: `${title}: ${said}, so there is no egress IP to show.\ntry: ${curl}\n`,
    json: { through_lab: false, peer: formatEndpoint(request.peer), site: name, message: said, try: curl },
    page: {
      title,
      headline: 'Not through the lab',
      tone: 'bad',
      body: html`<p>This is <strong>${name}</strong> as the lab plays it, reached at its stand-in address.
An egress IP shows only on connections that go through the lab’s proxy:</p>
<pre><code>${curl}</code></pre>
${factList({ 'You came from': formatEndpoint(request.peer), 'You reached': formatEndpoint(request.local) })}`,
    },
  }
}
