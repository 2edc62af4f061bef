// A text field for an expression: colours under the text while typing, and what is wrong drawn at its place and said in words.

import type { JSX } from 'preact'
import { useId } from 'preact/hooks'
import type { Problem } from '../api/shapes.ts'
import { type Mark, pieces } from '../ui/expression.tsx'

export interface ExpressionEditorProps {
  readonly label: string
  readonly value: string
  readonly placeholder: string
  readonly problems: readonly Problem[]
  readonly onInput: (value: string) => void
}

export function ExpressionEditor({ label, value, placeholder, problems, onInput }: ExpressionEditorProps): JSX.Element {
  const id = useId()
  const marks = problems.flatMap(({ span, message }): Mark[] =>
    span === null ? [] : [{ span, kind: 'problem', title: message }],
  )
  const isWrong = problems.some(({ severity }) => severity === 'error')
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class={`editor ${isWrong ? 'wrong' : ''}`}>
        <pre aria-hidden="true" class="editor-under">
          {pieces(value, marks)}
          {'\n'}
        </pre>
        <textarea
          id={id}
          class="editor-text"
          rows={1}
          value={value}
          placeholder={placeholder}
          spellcheck={false}
          autoComplete="off"
          autoCapitalize="off"
          aria-invalid={isWrong}
          aria-describedby={problems.length > 0 ? `${id}-problems` : undefined}
          onInput={({ currentTarget }) => onInput(currentTarget.value)}
        />
      </div>
      {problems.length > 0 && (
        <ul id={`${id}-problems`} class="editor-problems">
          {problems.map((problem) => (
            <li key={`${problem.code}${problem.span?.join()}`} class={problem.severity}>
              {problem.span !== null && <span class="chip mono">at {problem.span[0] + 1}</span>}{' '}
              {short(problem.message)}
              {problem.hint !== null && <span class="muted"> {problem.hint}</span>}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

/** Beside its field a problem need not say which rule and expression it is about. */
function short(message: string): string {
  return message.replace(/^rule `.*?`: /, '').replace(/ in its `\w+` expression$/, '')
}
