// Wildcard patterns ([L14]): `*` is any run of bytes, everything else is literal, and the whole value
// must match. Works on byte strings, without a regular expression.

export interface Wildcard {
  /** the literal parts between the stars, in order; one more than there are stars */
  readonly parts: readonly string[]
  readonly strict: boolean
  matches(value: string): boolean
}

export type WildcardResult =
  | { readonly ok: true; readonly wildcard: Wildcard }
  | { readonly ok: false; readonly message: string; readonly tooManyStars: boolean }

/** Compiles a pattern given as bytes. `strict` compares exactly; otherwise ASCII letters match in either case.
 *  `starLimit`: most stars. Never throws. */
export function createWildcard(pattern: string, strict: boolean, starLimit: number): WildcardResult {
  const parts = split(pattern)
  if (!parts.ok) return { ok: false, message: `invalid wildcard: ${parts.message}`, tooManyStars: false }
  const stars = parts.parts.length - 1
  if (stars > starLimit) {
    const message = `wildcard has ${stars} star metacharacters, but the limit is ${starLimit}`
    return { ok: false, message, tooManyStars: true }
  }
  if (parts.parts.some((part, at) => part === '' && at > 0 && at < stars)) {
    return { ok: false, message: 'wildcard contains a double star', tooManyStars: false }
  }
  const wanted = strict ? parts.parts : parts.parts.map(foldAscii)
  const find = matcher(wanted)
  const matches = strict ? find : (endingIn(wanted) ?? ((value: string) => find(foldAscii(value))))
  return { ok: true, wildcard: Object.freeze({ parts: wanted, strict, matches }) }
}

/** ASCII letters in lower case, every other byte as it is. */
export function foldAscii(bytes: string): string {
  for (let at = 0; at < bytes.length; at++) {
    const unit = bytes.charCodeAt(at)
    if (unit >= 0x41 && unit <= 0x5a) return bytes.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  }
  return bytes
}

function split(pattern: string): { ok: true; parts: string[] } | { ok: false; message: string } {
  const parts: string[] = []
  let part = ''
  for (let at = 0; at < pattern.length; at++) {
    const unit = pattern.charAt(at)
    if (unit === '*') {
      parts.push(part)
      part = ''
      continue
    }
    if (unit === '\\') at++
    const literal = pattern.charAt(at)
    if (unit === '\\' && literal !== '*' && literal !== '\\') {
      return { ok: false, message: 'invalid escape, only `\\*` and `\\\\` exist' }
    }
    part += literal
  }
  parts.push(part)
  return { ok: true, parts }
}

/** For `*text`, which most patterns are: compares from the end without ASCII case, and copies nothing. */
function endingIn(parts: readonly string[]): ((value: string) => boolean) | undefined {
  const [first, ending] = parts
  if (parts.length !== 2 || first !== '' || ending === undefined) return undefined
  return (value) => {
    const from = value.length - ending.length
    if (from < 0) return false
    for (let at = ending.length - 1; at >= 0; at--) {
      const unit = value.charCodeAt(from + at)
      if ((unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit) !== ending.charCodeAt(at)) return false
    }
    return true
  }
}

function matcher(parts: readonly string[]): (value: string) => boolean {
  const first = parts[0] ?? ''
  if (parts.length === 1) return (value) => value === first
  const last = parts[parts.length - 1] ?? ''
  const middle = parts.slice(1, -1)
  if (middle.length === 0) {
    const least = first.length + last.length
    return (value) => value.length >= least && value.startsWith(first) && value.endsWith(last)
  }
  return (value) => {
    const end = value.length - last.length
    if (end < first.length || !value.startsWith(first) || !value.endsWith(last)) return false
    let from = first.length
    for (const part of middle) {
      const found = value.indexOf(part, from)
      if (found < 0 || found + part.length > end) return false
      from = found + part.length
    }
    return true
  }
}
