// Changes of a policy in words: one line per thing, under it what differs, then what stays.

import type { Json } from '../../config/lab-state.ts'
import type { PolicyChanges, PolicyDifference, PolicyOutcome, PolicyStep } from '../../rules-sync/portable-policy.ts'
import type { TextStyles } from '../terminal.ts'

const SIGNS = { create: '+', update: '~', park: '~', delete: '-' } as const
/** A list can have thousands of items; as many are shown. */
const SHOWN_ITEMS = 5

/** The changes, ending in a line feed. */
export function renderChanges(changes: PolicyChanges, style: TextStyles): string {
  const { from, to, steps, unchanged, leftAlone, notes } = changes
  return [
    `from  ${style.strong(from)}`,
    `to    ${style.strong(to)}`,
    '',
    ...steps.flatMap((step) => stepLines(step, style)),
    ...(steps.length === 0 ? [style.good('nothing would change')] : ['']),
    style.dim(`${unchanged} unchanged`),
    ...(leftAlone.length === 0
      ? []
      : [
          style.dim(
            `${leftAlone.length} only in the target, left alone: ${leftAlone.map((name) => `\`${name}\``).join(', ')}`,
          ),
        ]),
    ...notes.map((note) => style.warn(note)),
    '',
  ].join('\n')
}

/** `~ rule 2000 vnet-AMER` as one line for progress and reports. */
export function stepTitle({ action, thing, name, precedence }: PolicyStep, style: TextStyles): string {
  const colour = action === 'create' ? style.good : action === 'delete' ? style.bad : style.warn
  const at = thing === 'rule' && precedence !== undefined ? `${precedence} ` : ''
  const aside = action === 'park' ? ' (moved aside temporarily)' : ''
  return `${colour(SIGNS[action])} ${thing} ${at}\`${name}\`${aside}`
}

/** The outcome of each step, ending in a line feed. `putBack`: the command that restores the rules where undoing failed. */
export function renderOutcome(outcome: PolicyOutcome, style: TextStyles, putBack = ''): string {
  const { done, failed, notDone, undone = [], stays = [], undoFailed } = outcome
  if (failed === undefined) return `${style.good(`${done.length} done`)}\n`
  return [
    style.bad(`stopped at step ${done.length + 1} of ${done.length + 1 + notDone.length}: ${failed.message}`),
    `failed:   ${titles([failed.step])}`,
    `not done: ${titles(notDone)}`,
    `undone:   ${undone.length === 0 ? 'nothing' : `${undone.length} changes of ${done.length} made`}`,
    ...(stays.length === 0 ? [] : [`stays:    ${titles(stays)}; no rule uses it yet, and the next push does`]),
    ...(undoFailed === undefined
      ? ['the rules are as they were; fix the cause and run the same command again']
      : [style.bad(`the rules could not be put back: ${undoFailed}`), `run this to put them back: ${putBack}`]),
    '',
  ].join('\n')
}

function titles(steps: readonly PolicyStep[]): string {
  const all = steps.map(({ action, thing, name }) => `${action} ${thing} \`${name}\``)
  return all.length === 0 ? 'nothing' : all.join(', ')
}

function stepLines(step: PolicyStep, style: TextStyles): string[] {
  return [stepTitle(step, style), ...(step.action === 'delete' ? [] : differenceLines(step, style))]
}

function differenceLines({ action, thing, differences }: PolicyStep, style: TextStyles): string[] {
  const items = differences.filter(({ field }) => field === 'items')
  const others = differences.filter(({ field }) => field !== 'items' && !(action === 'create' && SAID.has(field)))
  const width = Math.max(0, ...others.map(({ field }) => shortField(field).length))
  return [
    ...others.map((difference) => `    ${shortField(difference.field).padEnd(width)}  ${change(difference, style)}`),
    ...(thing === 'list' ? itemLines(items, style) : []),
  ]
}

/** Of a new thing the title says these already. */
const SAID = new Set(['name', 'precedence', 'action', 'filters'])

function shortField(field: string): string {
  return field.replace(/^rule_settings\./, '').replaceAll('.', ' ')
}

function change({ before, after }: PolicyDifference, style: TextStyles): string {
  if (before === undefined) return style.good(shownValue(after))
  return `${style.bad(shownValue(before))} → ${after === undefined ? 'nothing' : style.good(shownValue(after))}`
}

function itemLines(items: readonly PolicyDifference[], style: TextStyles): string[] {
  const of = (side: 'before' | 'after') =>
    items.flatMap((item) => (item[side] === undefined ? [] : [item[side]].flat()))
  const line = (word: string, values: readonly Json[], colour: (text: string) => string) => {
    const shown = values.slice(0, SHOWN_ITEMS).map(shownValue).join(', ')
    const more = values.length > SHOWN_ITEMS ? ` and ${values.length - SHOWN_ITEMS} more` : ''
    return values.length === 0 ? [] : [`    ${word}  ${colour(shown)}${more}`]
  }
  return [...line('added  ', of('after'), style.good), ...line('removed', of('before'), style.bad)]
}

/** A value on one line. */
export function shownValue(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
