// What happens to the lab while it is soaked: a rule's address changes, data centers go and come back, through its own API.
// Keeps which situation each revision of the state stood for, so that every record can be judged afterwards.

import { AT_START, COLOS, type Situation } from './situation.ts'

const AMER_RULE = '53ed0b53-fdbe-5cd8-b321-a37bb0ca560e'

export class Upheaval {
  readonly #api: string
  readonly #token: string
  readonly #byRevision: { readonly revision: number; readonly situation: Situation }[] = []
  #situation = AT_START
  #changes = 0

  constructor(port: number, token: string) {
    this.#api = `http://127.0.0.1:${port}`
    this.#token = token
  }

  get changes(): number {
    return this.#changes
  }

  /** Learns the revision the lab starts with. */
  async open(): Promise<void> {
    await this.#ask('GET', '/lab/v1/account')
  }

  /** One change of the situation; `choice` in [0, 1) says which. Resolves when it is in force. */
  async change(choice: number): Promise<void> {
    const { amerPrimary, down } = this.#situation
    this.#changes++
    if (choice < 0.4) {
      const next = amerPrimary === '203.0.113.40' ? '203.0.113.50' : '203.0.113.40'
      const path = `${await this.#account()}/gateway/rules/${AMER_RULE}`
      const rule = await this.#ask('GET', path)
      const { name, precedence, traffic, filters, action } = rule as Record<string, unknown>
      const egress = { ipv4: next, ipv4_fallback: amerPrimary, ipv6: '2001:db8:40::/64' }
      this.#situation = { amerPrimary: next, down }
      const body = { name, precedence, traffic, filters, action, enabled: true, rule_settings: { egress } }
      await this.#ask('PUT', path, body)
    } else if (down === null) {
      const colo = COLOS[Math.floor(((choice - 0.4) / 0.6) * COLOS.length)] ?? COLOS[0]
      this.#situation = { amerPrimary, down: colo }
      await this.#ask('PUT', `/lab/v1/colos/${colo}`, { up: false })
    } else {
      this.#situation = { amerPrimary, down: null }
      await this.#ask('PUT', `/lab/v1/colos/${down}`, { up: true })
    }
  }

  /** Everything back as it was at the start. */
  async settle(): Promise<void> {
    if (this.#situation.down !== null) await this.change(1)
    if (this.#situation.amerPrimary !== AT_START.amerPrimary) await this.change(0)
  }

  /** A moment, for `since`. */
  mark(): number {
    return Math.max(0, this.#byRevision.length - 1)
  }

  /** Every situation that was in force, or about to be, since that moment. */
  since(mark: number): readonly Situation[] {
    return [...this.#byRevision.slice(mark).map(({ situation }) => situation), this.#situation]
  }

  /** The situation that a revision stood for. */
  at(revision: number): Situation | undefined {
    return this.#byRevision.findLast((entry) => entry.revision <= revision)?.situation
  }

  #accountPath: string | undefined

  async #account(): Promise<string> {
    if (this.#accountPath === undefined) {
      const [account] = (await this.#ask('GET', '/client/v4/accounts')) as readonly { readonly id: string }[]
      this.#accountPath = `/client/v4/accounts/${account?.id}`
    }
    return this.#accountPath
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.#api}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as { readonly result?: unknown }
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${JSON.stringify(answer)}`)
    this.#byRevision.push({ revision: Number(response.headers.get('egresslab-revision')), situation: this.#situation })
    return answer.result
  }
}
