// One cell of the matrix: where its connections leave from, whether they are let in, and why.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiFailure, ask } from '../api/request.ts'
import type { Explanation, Matrix } from '../api/shapes.ts'
import { Drawer } from '../ui/drawer.tsx'
import { Why } from '../ui/explanation.tsx'
import { sentence } from '../ui/format.ts'
import { Loading, Notice } from '../ui/notice.tsx'

export type Verdict = Matrix['verdicts'][number]

export interface Cell {
  readonly row: number
  readonly column: number
  readonly now: Verdict
  /** what it is with no data center taken out */
  readonly before: Verdict | undefined
}

export function isChanged({ now, before }: Cell): boolean {
  return (
    before !== undefined &&
    (before.egress !== now.egress || before.let_in !== now.let_in || before.outcome !== now.outcome)
  )
}

export function wordsOfCell({ egress, colo, rule, let_in: letIn, outcome, error }: Verdict): string {
  if (error !== null) return error.message
  const where = egress === null ? 'nowhere' : `${egress}${colo === null ? '' : ` at ${colo}`}`
  const why = rule === null ? (outcome ?? '') : `rule ${rule.name}`
  return `${where}, ${why}${letIn === null ? '' : letIn ? ', let in' : ', refused'}`
}

interface CellDrawerProps {
  readonly matrix: Matrix
  readonly cell: Cell
  readonly asked: { readonly family: string; readonly down: readonly string[] }
  readonly onClose: () => void
}

export function CellDrawer({ matrix, cell, asked, onClose }: CellDrawerProps): JSX.Element {
  const row = matrix.rows[cell.row]
  const column = matrix.columns[cell.column]
  const [user = ''] = row?.users ?? []
  const [destination = ''] = column?.destinations ?? []
  const network = row?.virtual_network.name ?? ''
  const question = {
    destination,
    user,
    vnet: network,
    ...(asked.family === '' ? {} : { family: Number(asked.family) }),
    ...(asked.down.length === 0 ? {} : { colos_down: asked.down }),
  }
  const { answer, failure } = useWhy(JSON.stringify(question))
  const link = new URLSearchParams({
    destination,
    user,
    vnet: network,
    family: asked.family,
    colos_down: asked.down.join(' '),
  })
  const { now } = cell
  return (
    <Drawer title={`${user.replace(/@.*$/, '')} → ${destination}`} onClose={onClose}>
      <div class="stack">
        {now.let_in !== null && (
          <Notice kind={now.let_in ? 'good' : 'bad'}>
            <strong>{now.let_in ? 'Lets in' : 'Refuses'}</strong> {now.egress ?? 'no address'}; its allowlist has{' '}
            {column?.allow?.join(', ')}.
          </Notice>
        )}
        {now.error !== null && <Notice kind="bad">{sentence(now.error.message)}</Notice>}
        {isChanged(cell) && cell.before !== undefined && (
          <Notice kind="warn">With every data center as it is: {wordsOfCell(cell.before)}.</Notice>
        )}
        {(row?.users.length ?? 0) > 1 && <p class="small muted">The same for {row?.users.slice(1).join(', ')}.</p>}
        {failure !== undefined && <Notice kind="bad">{sentence(failure)}</Notice>}
        {answer === undefined && failure === undefined && <Loading what="the reason" />}
        {answer !== undefined && <Why explanation={answer} />}
        <a href={`/explain?${link}`}>Change the question in Explain</a>
      </div>
    </Drawer>
  )
}

function useWhy(question: string): { readonly answer?: Explanation; readonly failure?: string } {
  const [state, setState] = useState<{ readonly answer?: Explanation; readonly failure?: string }>({})
  useEffect(() => {
    const leave = new AbortController()
    ask<Explanation>('POST', '/lab/v1/explain', { body: JSON.parse(question), signal: leave.signal }).then(
      (answer) => setState({ answer }),
      (thrown: unknown) => {
        if (thrown instanceof ApiFailure) setState({ failure: thrown.message })
      },
    )
    return () => leave.abort()
  }, [question])
  return state
}
