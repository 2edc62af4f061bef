// What echo sites saw, one line per address family.

import type { JSX } from 'preact'
import type { Verification } from '../api/shapes.ts'

export function VerifiedAnswers({ answers }: { readonly answers: Verification['answers'] }): JSX.Element {
  return (
    <ul class="answers">
      {answers.map(({ family, seen, dedicated, colo, problem, asked }) => (
        <li key={family}>
          <span class="chip">IPv{family}</span>
          <span>
            <strong class="mono">{seen === '' ? '–' : seen}</strong>
            <span class="small muted">
              {' '}
              {problem === null ? `as ${asked.replace(/^http:\/\/|\/$/g, '')} saw it` : problem}
            </span>
          </span>
          <span class={dedicated ? 'verdict good' : 'verdict bad'}>
            {dedicated ? `✓ dedicated, ${colo}` : '✕ not dedicated'}
          </span>
        </li>
      ))}
    </ul>
  )
}
