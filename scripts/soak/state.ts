// What the soak holds against the lab: which dedicated addresses somebody may leave from in a state, reportedAt by a table of the
// shipped configuration and not by the code that decides. Pure.

/** What the soak changes: one rule's primary address, and which data center is out. */
export interface LabState {
  readonly amerPrimary: '203.0.113.40' | '203.0.113.50'
  readonly down: string | null
}

export const AT_START: LabState = { amerPrimary: '203.0.113.40', down: null }

/** Out of these, one at a time. */
export const COLOS = ['AMS', 'LHR', 'IAD', 'LAX', 'EWR'] as const

const COLO_OF: Readonly<Record<string, string>> = {
  '203.0.113.10': 'AMS',
  '203.0.113.20': 'LHR',
  '203.0.113.30': 'IAD',
  '203.0.113.40': 'LAX',
  '203.0.113.50': 'EWR',
}

/** Who sends traffic; `network` is the virtual network's name in the credentials. */
export interface Client {
  readonly email: string
  readonly password: string
  readonly network?: 'vnet-AMER' | 'vnet-EMEA'
}

export const CLIENTS: readonly Client[] = [
  { email: 'alice@example.com', password: 'lab-alice' },
  { email: 'bob@example.com', password: 'lab-bob' },
  { email: 'bob@example.com', password: 'lab-bob', network: 'vnet-AMER' },
  { email: 'bob@example.com', password: 'lab-bob', network: 'vnet-EMEA' },
  { email: 'carol@example.com', password: 'lab-carol' },
  { email: 'dave@example.com', password: 'lab-dave' },
]

/** Nearest first; those in one group are as near as makes no difference ([B2]), and any of them that is up will do. */
const NEAREST: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'alice@example.com': [['203.0.113.20'], ['203.0.113.10']],
  'bob@example.com': [['203.0.113.10'], ['203.0.113.20']],
  'carol@example.com': [['203.0.113.40'], ['203.0.113.30', '203.0.113.50']],
  'dave@example.com': [['203.0.113.10', '203.0.113.20'], ['203.0.113.30']],
}

/** The addresses that are right, most likely one. `network` as in a session record, `host` as asked for. */
export function rightAddresses(
  email: string,
  network: string,
  host: string,
  { amerPrimary, down }: LabState,
): readonly string[] {
  const isUp = (address: string) => COLO_OF[address] !== down
  const pinned = (primary: string, fallback: string) => [isUp(primary) ? primary : fallback]
  if (host === 'bank.saas.test' && email === 'alice@example.com') return pinned('203.0.113.20', '203.0.113.30')
  if (network === 'vnet-AMER') {
    return pinned(amerPrimary, amerPrimary === '203.0.113.40' ? '203.0.113.50' : '203.0.113.40')
  }
  if (network === 'vnet-EMEA') return pinned('203.0.113.20', '203.0.113.10')
  return (NEAREST[email] ?? []).map((group) => group.filter(isUp)).find((group) => group.length > 0) ?? []
}
