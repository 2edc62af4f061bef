import { expect, test } from 'vitest'
import { html } from '../../src/origins/page.ts'

test('text and numbers are escaped, markup and lists of markup are kept', () => {
  const items = ['<b>', '"&\''].map((text) => html`<li>${text}</li>`)
  expect(html`<ul title="${'"'}">${items}</ul>${7}`.markup).toBe(
    '<ul title="&quot;"><li>&lt;b&gt;</li><li>&quot;&amp;&#39;</li></ul>7',
  )
})
