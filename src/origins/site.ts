// A plain site (espn.com, cloudflare.com) that shows the visitor's address and both of its locations ([E5]); behind
// Cloudflare it also answers /cdn-cgi/trace as every proxied site does.

import type { Answer } from './answer.ts'
import { factList } from './page.ts'
import { describePlace, describeView, type Visit, type Visitor, visitFacts } from './visit.ts'

/** The page with the visitor's address, physical and logical location. */
export function site(visit: Visit, visitor: Visitor): Answer {
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
    json: { ...visitFacts(visit, visitor), proxied_by_cloudflare: candidate.proxiedByCloudflare },
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
function trace(visit: Visit, visitor: Visitor): Answer {
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
