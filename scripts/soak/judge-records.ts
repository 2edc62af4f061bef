// Reads the session log of a soak and holds every record against the state of its policy revision: the egress address is
// one that is right, and the socket was bound to that address's stand-in.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { type LabState, rightAddresses } from './state.ts'

export interface Judgement {
  readonly records: number
  /** records with an egress address, each of which was judged */
  readonly judged: number
  /** by reason of closing */
  readonly closeReasons: Readonly<Record<string, number>>
  /** by code, of those that failed */
  readonly errors: Readonly<Record<string, number>>
  /** the first of them, each a sentence */
  readonly wrong: readonly string[]
  readonly wrongCount: number
}

const SHOWN = 20

/** Reads the files in order, oldest first. */
export async function judgeRecords(
  files: readonly string[],
  stateAt: (revision: number) => LabState | undefined,
): Promise<Judgement> {
  const closeReasons: Record<string, number> = {}
  const errors: Record<string, number> = {}
  const wrong: string[] = []
  let records = 0
  let judged = 0
  let wrongCount = 0
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const record: SessionRecord = JSON.parse(line)
      records++
      closeReasons[record.ConnectionCloseReason] = (closeReasons[record.ConnectionCloseReason] ?? 0) + 1
      const code = record.Lab.error?.code
      if (code !== undefined) errors[code] = (errors[code] ?? 0) + 1
      if (record.EgressIP === '') continue
      judged++
      const problem = whatIsWrong(record, stateAt(record.Lab.policyRevision))
      if (problem === undefined) continue
      wrongCount++
      if (wrong.length < SHOWN) wrong.push(`session ${record.SessionID}: ${problem}`)
    }
  }
  return { records, judged, closeReasons, errors, wrong, wrongCount }
}

function whatIsWrong({ Email, EgressIP, Lab }: SessionRecord, state: LabState | undefined): string | undefined {
  if (state === undefined) return `nobody knows policy revision ${Lab.policyRevision}`
  const host = Lab.target.replace(/:\d+$/, '')
  const right = rightAddresses(Email, Lab.virtualNetworkName, host, state)
  const who = `${Email} on ${Lab.virtualNetworkName} to ${Lab.target}`
  if (!right.includes(EgressIP)) return `${who} left from ${EgressIP}, not from ${right.join(' or ')}`
  const octet = EgressIP.split('.').at(-1)
  if (Lab.bind !== undefined && !new RegExp(String.raw`\.10\.${octet}:\d+$`).test(Lab.bind)) {
    return `${who} left from ${EgressIP}, but the socket was bound to ${Lab.bind}`
  }
  return undefined
}
