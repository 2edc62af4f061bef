// HTML as a value: a template tag that escapes whatever is put into it. The only way to markup; text stays text.

/** Markup that is safe to send as it is. */
export interface Markup {
  readonly markup: string
}

type Part = Markup | readonly Markup[] | string | number

/** html`<p>${text}</p>`: strings and numbers are escaped, markup is kept, lists are joined. */
export function html(fixed: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const markup = fixed.map((text, at) => text + render(parts[at] ?? '')).join('')
  return { markup }
}

function render(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part))
  return 'markup' in part ? part.markup : part.map((item) => item.markup).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
