// A text field for an expression: colours under the text while typing, what is wrong drawn at its place and said in words,
// names completed at the caret, and the selector there explained.

import type { JSX } from 'preact'
import { useId, useRef, useState } from 'preact/hooks'
import type { Problem } from '../api/shapes.ts'
import { type Mark, pieces } from '../ui/expression.tsx'
import { type Completion, complete, fieldBefore, SELECTORS, type Slot, type Vocabulary } from './vocabulary.ts'

export interface ExpressionEditorProps {
  readonly label: string
  readonly slot: Slot
  readonly value: string
  readonly placeholder: string
  readonly problems: readonly Problem[]
  readonly known: Vocabulary
  readonly onInput: (value: string) => void
}

const NOTHING: Completion = { from: 0, options: [] }

export function ExpressionEditor(props: ExpressionEditorProps): JSX.Element {
  const { label, slot, value, placeholder, problems, known, onInput } = props
  const id = useId()
  const area = useRef<HTMLTextAreaElement>(null)
  const [completion, setCompletion] = useState(NOTHING)
  const [active, setActive] = useState(0)
  const [field, setField] = useState<string>()
  const marks = problems.flatMap(({ span, message }): Mark[] =>
    span === null ? [] : [{ span, kind: 'problem', title: message }],
  )
  const isWrong = problems.some(({ severity }) => severity === 'error')
  const { options } = completion

  const look = (element: HTMLTextAreaElement, offers: boolean) => {
    const before = element.value.slice(0, element.selectionStart)
    const rest = /^[\w.]*/.exec(element.value.slice(element.selectionStart))?.[0] ?? ''
    setField(fieldBefore(before + rest))
    setCompletion(offers ? complete(slot, before, known) : NOTHING)
    setActive(0)
  }
  const take = (index: number) => {
    const option = options[index]
    const element = area.current
    if (option === undefined || element === null) return
    const after = element.value.slice(element.selectionStart)
    const rest = option.text.endsWith('"') && after.startsWith('"') ? after.slice(1) : after
    const head = element.value.slice(0, completion.from) + option.text
    element.value = head + rest
    element.setSelectionRange(head.length, head.length)
    element.focus()
    onInput(head + rest)
    look(element, false)
  }
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    if (event.key === ' ' && event.ctrlKey) look(event.currentTarget, true)
    else if (options.length === 0) return
    else if (event.key === 'ArrowDown') setActive((active + 1) % options.length)
    else if (event.key === 'ArrowUp') setActive((active + options.length - 1) % options.length)
    else if (event.key === 'Enter' || event.key === 'Tab') take(active)
    else if (event.key === 'Escape') setCompletion(NOTHING)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

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
          ref={area}
          class="editor-text"
          rows={1}
          value={value}
          placeholder={placeholder}
          spellcheck={false}
          autoComplete="off"
          autoCapitalize="off"
          aria-invalid={isWrong}
          aria-autocomplete="list"
          aria-controls={options.length > 0 ? `${id}-options` : undefined}
          aria-activedescendant={options.length > 0 ? `${id}-option-${active}` : undefined}
          aria-describedby={[
            ...(field === undefined ? [] : [`${id}-about`]),
            ...(problems.length > 0 ? [`${id}-problems`] : []),
          ].join(' ')}
          onInput={({ currentTarget }) => {
            onInput(currentTarget.value)
            look(currentTarget, true)
          }}
          onKeyDown={onKeyDown}
          onClick={({ currentTarget }) => look(currentTarget, false)}
          onKeyUp={({ key, currentTarget }) => {
            if (/^(?:Arrow(?:Left|Right)|Home|End)$/.test(key)) look(currentTarget, false)
          }}
          onBlur={() => setCompletion(NOTHING)}
        />
      </div>
      {options.length > 0 && (
        <div id={`${id}-options`} class="completions" role="listbox" aria-label={`Completions for ${label}`}>
          {options.map((option, index) => (
            <div
              key={option.text}
              id={`${id}-option-${index}`}
              role="option"
              aria-selected={index === active}
              onPointerDown={(event) => {
                event.preventDefault()
                take(index)
              }}
            >
              <code>{option.name}</code> <span class="muted">{option.about}</span>
            </div>
          ))}
        </div>
      )}
      {field !== undefined && options.length === 0 && (
        <p id={`${id}-about`} class="small muted">
          <code>{field}</code>: {SELECTORS[field]?.about}
        </p>
      )}
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
