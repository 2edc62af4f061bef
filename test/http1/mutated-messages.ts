// Messages of HTTP/1.1 with something wrong about them, or nothing: sound ones out of a grammar, changed a few times in the places where
// readers differ. The same number makes the same message.

import type { Side } from './codec-reading.ts'

/** Numbers that repeat for the same seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 … below `limit` */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.below(list.length)] ?? list[0]
  }
}

type Choices = readonly [string, ...string[]]

const LINES: Record<Side, Choices> = {
  request: [
    'GET http://o.test/ HTTP/1.1',
    'POST http://o.test/a?b HTTP/1.1',
    'PUT http://o.test/ HTTP/1.0',
    'CONNECT o.test:443 HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'GET http://o.test/\xe9 HTTP/1.1',
    'GET http://o.test/',
    'GET  http://o.test/ HTTP/1.1',
    'GET http://o.test/ HTTP/1.2',
    'get http://o.test/ http/1.1',
  ],
  response: [
    'HTTP/1.1 200 OK',
    'HTTP/1.1 404 Not Found',
    'HTTP/1.0 200 OK',
    'HTTP/1.1 200',
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 205 Reset',
    'HTTP/1.1 304 Not Modified',
    'HTTP/1.1 103 Early Hints',
    'HTTP/1.5 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/1.1 99 Low',
    'HTTP/1.1 600 High',
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1  200 OK',
  ],
}
const FIELDS: Choices = [
  'Host: o.test',
  'Transfer-Encoding: chunked',
  'Content-Length: 3',
  'X: y',
  'X-Empty:',
  'x-blank: \t a b \t',
  'X-Latin: caf\xe9',
  'Content-Length: 3',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: 03',
  'Content-Length: +3',
  'Content-Length: -3',
  'Content-Length: 3, 3',
  'Content-Length: 3 , 3',
  'Content-Length: 3,4',
  'Content-Length: 3,',
  'Content-Length: 0x3',
  'Content-Length:',
  'Content-Length: 9007199254740993',
  'Content-Length: 18446744073709551619',
  'content-length:\t3',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked',
  'transfer-encoding:chunked',
  'Transfer-Encoding: chunked\t',
  'Transfer-Encoding: \tCHUNKED ',
  'Transfer-Encoding: \xa0chunked',
  'Transfer-Encoding: chunked\xa0',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: ',
  'Transfer-Encoding : chunked',
  'Content-Length : 3',
  'Content-Length\t: 3',
  ' folded: x',
  '\tfolded',
  'no colon',
  ': no name',
  'X\0: y',
  'X: y\0',
  'X: a\rb',
  'X/Y: z',
  '__proto__: x',
]
const ENDS: Choices = ['\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r\r\n', '\r']
const BODIES: Choices = [
  '',
  'abc',
  'abcdefgh',
  '3\r\nabc\r\n0\r\n\r\n',
  '3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  '003;a=b\r\nabc\r\n00\r\n\r\n',
  '3 ;a\r\nabc\r\n0\r\n\r\n',
  '3 \r\nabc\r\n0\r\n\r\n',
  '3\nabc\r\n0\r\n\r\n',
  ' 3\r\nabc\r\n0\r\n\r\n',
  '3;a\nb\r\nabc\r\n0\r\n\r\n',
  '3\r\nabcd\r\n0\r\n\r\n',
  '4\r\nabc\r\n0\r\n\r\n',
  '3\r\nabc0\r\n\r\n',
  '0x3\r\nabc\r\n0\r\n\r\n',
  '-3\r\nabc\r\n0\r\n\r\n',
  'fffffffffffffffff\r\nabc',
  '20000000000001\r\nabc',
  '\r\n3\r\nabc\r\n0\r\n\r\n',
  '3\r\nabc\r\n0\r\n\n',
  '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  '3\r\nabc\r\n0\r\n folded\r\n\r\n',
  '3\r\nabc\r\n0\r\nX : y\r\n\r\n',
]
const INSERTS: Choices = ['\r', '\n', '\r\n', '\0', ' ', '\t', '\x0b', '\xa0', ':', ';', ',', '0', 'a', '\x7f', '\x85']

/** Latin-1 text. */
export function mutatedMessage(side: Side, dice: Dice): string {
  let text = dice.below(12) === 0 ? dice.pick(['\r\n', '\n', '\r\n\r\n', ' ']) : ''
  text += common(LINES[side], dice) + (dice.below(8) === 0 ? dice.pick(ENDS) : '\r\n')
  for (let count = dice.below(4); count > 0; count--) {
    text += common(FIELDS, dice) + (dice.below(20) === 0 ? dice.pick(ENDS) : '\r\n')
  }
  text += (dice.below(20) === 0 ? dice.pick(ENDS) : '\r\n') + dice.pick(BODIES)
  for (let count = Math.max(0, dice.below(4) - 1); count > 0; count--) text = mutate(text, dice)
  return text
}

/** Mostly one of the first, which are sound. */
function common(list: Choices, dice: Dice): string {
  return dice.below(3) === 0 ? dice.pick(list) : (list[dice.below(4)] ?? list[0])
}

function mutate(text: string, dice: Dice): string {
  const at = dice.below(text.length + 1)
  switch (dice.below(4)) {
    case 0:
      return text.slice(0, at) + dice.pick(INSERTS) + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(at + 1)
    case 2:
      return text.slice(0, at) + dice.pick(INSERTS) + text.slice(at + 1)
    default:
      return text.slice(0, at) + text.slice(at, at + 8) + text.slice(at)
  }
}
