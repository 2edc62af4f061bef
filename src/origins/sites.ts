// A plain site (espn.com, cloudflare.com) that shows the visitor's address and both of its locations ([E5]); behind
// Cloudflare it also answers /cdn-cgi/trace as every proxied site does.

import { type Cidr, containsIp } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { describePlace, describeView, type OriginClient, type OriginRequest, requestFacts } from './origin-request.ts'
import { factList, html, type OriginAnswer } from './page.ts'

/** The page with the visitor's address, physical and logical location. */
export function site(visit: OriginRequest, visitor: OriginClient): OriginAnswer {
  const { decision, candidate } = visitor.attempt
  if (visit.path === '/cdn-cgi/trace' && candidate.proxiedByCloudflare) return trace(visit, visitor)
  const facts = {
    seen: visitor.address.text,
    from: describeView(visitor.view),
    ingress_colo: decision.ingressColo.code,
    physical_colo: decision.physicalColo?.code ?? 'none',
    logical:
      decision.logical === null ? 'none' : `${decision.logical.colo.code} (${describePlace(decision.logical.place)})`,
    proxied_by_cloudflare: candidate.proxiedByCloudflare ? 'yes' : 'no',
  }
  return {
    status: 200,
    text: `${[visit.site.spec.title, ...Object.entries(facts).map(([name, value]) => `${name}: ${value}`)].join('\n')}\n`,
    json: { ...requestFacts(visit, visitor), proxied_by_cloudflare: candidate.proxiedByCloudflare },
    page: {
      title: visit.site.spec.title,
      headline: visitor.address.text,
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

/** `key=value` lines under the names Cloudflare uses; `colo` is where the visitor's traffic reached its network. */
function trace(visit: OriginRequest, visitor: OriginClient): OriginAnswer {
  const { decision } = visitor.attempt
  const facts = {
    h: visit.site.spec.name,
    ip: visitor.address.text,
    ts: (visit.at / 1000).toFixed(3),
    visit_scheme: visit.scheme,
    uag: visit.request.headers['user-agent'] ?? '',
    colo: (decision.physicalColo ?? decision.ingressColo).code,
    http: `http/${visit.request.httpVersion}`,
    loc: visitor.view?.place.country ?? 'XX',
    tls: visit.scheme === 'https' ? 'on' : 'off',
    gateway: 'on',
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

/** The address in the form asked for; at `/json` always JSON, at `/ip` always plain. */
export function echo(visit: OriginRequest, visitor: OriginClient): OriginAnswer {
  const facts = requestFacts(visit, visitor)
  const only = ONLY[visit.path]
  return {
    status: 200,
    text: `${visitor.address.text}\n`,
    json: facts,
    ...(only === undefined ? {} : { only }),
    page: {
      title: visit.site.spec.title,
      headline: visitor.address.text,
      tone: 'plain',
      body: factList({
        'Seen from': describeView(visitor.view),
        'Left the lab at': facts.lab.physical_colo ?? undefined,
        Outcome: facts.lab.outcome,
        Why: facts.lab.reason,
        'Really bound': facts.lab.bound,
        'You asked': `${visit.scheme}://${facts.site.name} (${facts.site.address})`,
      }),
    },
  }
}

const ONLY: Readonly<Record<string, 'json' | 'text'>> = { '/json': 'json', '/all.json': 'json', '/ip': 'text' }

/** 200 for an address on the allowlist, 403 for any other. */
export function saas(visit: OriginRequest, visitor: OriginClient): OriginAnswer {
  const { allow, title } = visit.site.spec
  const entry = allow.find((range) => containsIp(range, visitor.address))
  const seen = visitor.address.text
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
      ...requestFacts(visit, visitor),
    },
    page: {
      title,
      headline,
      tone: entry === undefined ? 'bad' : 'good',
      body: factList({
        'It saw': seen,
        'It lets in': list,
        'Seen from': describeView(visitor.view),
        'Why this address': visitor.attempt.decision.reason,
      }),
    },
  }
}

/** A single address is shown as such. */
function entryText(range: Cidr): string {
  return range.length === (range.family === 4 ? 32 : 128) ? range.base.text : range.text
}

/** The word on the button, by language; English for the others. */
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

/** The landing page for the country the site's database sees; an unknown country gets the English one. */
export function search(visit: OriginRequest, visitor: OriginClient): OriginAnswer {
  const country = visitor.view?.place.country
  const language = languageOf(country)
  const name = country === undefined ? 'International' : nameOf(country, language)
  return {
    status: 200,
    headers: { 'content-language': language },
    text: `country: ${country ?? 'unknown'}\nlanguage: ${language}\nseen: ${visitor.address.text}\nfrom: ${describeView(visitor.view)}\n`,
    json: { country: country ?? null, language, country_name: name, ...requestFacts(visit, visitor) },
    page: {
      title: `${visit.site.spec.title} · ${name}`,
      language,
      headline: name,
      tone: 'plain',
      body: html`<form role="search" dir="auto"><label>${SEARCH_WORDS[language] ?? SEARCH_WORDS.en ?? ''} <input type="search" name="q" disabled></label></form>
<div lang="en">${factList({ 'Seen as': visitor.address.text, 'Seen from': describeView(visitor.view) })}</div>`,
    },
  }
}

/** The language most spoken in a country (Unicode likely subtags), where this page has it; else English. */
function languageOf(country: string | undefined): string {
  if (country === undefined || !/^[A-Z]{2}$/.test(country)) return 'en'
  const { language } = new Intl.Locale('und', { region: country }).maximize()
  return language in SEARCH_WORDS ? language : 'en'
}

function nameOf(country: string, language: string): string {
  return new Intl.DisplayNames([language], { type: 'region' }).of(country) ?? country
}

/** 403 with the curl line that works. `proxy` is the lab's proxy as a URL. */
export function directRequest(visit: OriginRequest, proxy: string): OriginAnswer {
  const { name, title } = visit.site.spec
  const curl = `curl -x ${proxy} -U 'EMAIL:PASSWORD' ${visit.scheme}://${name}/`
  const said = `you came straight from ${formatEndpoint(visit.peer)}, not through the lab`
  return {
    status: 403,
    text: `${title}: ${said}, so there is no egress IP to show.\ntry: ${curl}\n`,
    json: { through_lab: false, peer: formatEndpoint(visit.peer), site: name, message: said, try: curl },
    page: {
      title,
      headline: 'Not through the lab',
      tone: 'bad',
      body: html`<p>This is <strong>${name}</strong> as the lab plays it, reached at its stand-in address.
An egress IP shows only on connections that go through the lab’s proxy:</p>
<pre><code>${curl}</code></pre>
${factList({ 'You came from': formatEndpoint(visit.peer), 'You reached': formatEndpoint(visit.local) })}`,
    },
  }
}
