// Finds where parsing can continue after a problem: the next logical operator or closing bracket of the same level.
// Looks only at quotes and brackets; reports nothing.

const OPERATOR = /(?:and|or|xor|AND|OR|XOR)(?=[\s(!])/y
const RAW_STRING = /r(#*)"/y

/** The first boundary at or after `after`, for an operand that starts at `from`; `end` if there is none. All UTF-16
 *  offsets. */
export function findBoundary(text: string, from: number, after: number, end: number): number {
  let depth = 0
  for (let at = from; at < end; at++) {
    const unit = text.charAt(at)
    if (depth === 0 && at >= after && isBoundary(text, at)) return at
    if (unit === '(' || unit === '[' || unit === '{') depth++
    else if (unit === ')' || unit === ']' || unit === '}') depth = Math.max(0, depth - 1)
    else at = skipString(text, at, end)
  }
  return end
}

function isBoundary(text: string, at: number): boolean {
  const unit = text.charAt(at)
  if (unit === ')') return true
  if (/[&|^]/.test(unit) && text.charAt(at + 1) === unit) return true
  if (!/[aoxAOX]/.test(unit) || !/[\s)\]}"]/.test(text.charAt(at - 1))) return false
  OPERATOR.lastIndex = at
  return OPERATOR.test(text)
}

/** The index of a string's closing quote, if a string begins here; else `at`. */
function skipString(text: string, at: number, end: number): number {
  RAW_STRING.lastIndex = at
  const raw = /[A-Za-z0-9_]/.test(text.charAt(at - 1)) ? null : RAW_STRING.exec(text)
  if (raw !== null) {
    const close = text.indexOf(`"${raw[1]}`, at + raw[0].length)
    return close < 0 ? end : close + (raw[1] ?? '').length
  }
  if (text.charAt(at) !== '"') return at
  for (let next = at + 1; next < end; next++) {
    if (text.charAt(next) === '\\') next++
    else if (text.charAt(next) === '"') return next
  }
  return end
}
