// The answer for somebody who came straight to a stand-in address instead of through the lab: no address is shown that
// could be mistaken for an egress IP, but what to do instead.

import { formatEndpoint } from '../net/endpoint.ts'
import type { Answer } from './answer.ts'
import { html } from './html.ts'
import { factList } from './page.ts'
import type { Visit } from './visit.ts'

/** 403 with the curl line that works. `proxy` is the lab's proxy as a URL. */
export function directVisit(visit: Visit, proxy: string): Answer {
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
