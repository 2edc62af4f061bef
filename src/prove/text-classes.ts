// Cuts all texts into the classes that a number of tests tell apart, each with a text that is in it: a product of
// automata that read from the end. Reports when the classes are too many; never drops one silently.

import { type BackwardScan, isUtf8 } from '../expression/index.ts'
import { parseHost } from '../net/host.ts'

/** What is asked of a text (one code unit per byte). */
export interface TextTests {
  /** constants compared as they are, and regardless of ASCII case */
  readonly equal: ReadonlySet<string>
  readonly folded: ReadonlySet<string>
  readonly scans: readonly BackwardScan[]
  /** texts to show for the classes they are in */
  readonly preferred?: readonly string[]
}

/** Host names: every parent domain is tested as well. Their constants count for each of them. */
export interface HostTests extends TextTests {
  /** tests of one domain, each asked of the name and all its parents, which the scans do not already settle */
  readonly ofDomains: readonly ((domain: string) => boolean)[]
}

export interface TextClasses {
  /** one text of each class */
  readonly texts: readonly string[]
  /** classes whose texts may not be possible values at all */
  readonly doubtful: ReadonlySet<string>
}

/** Most states of one product, beside those that lead to constants. */
const MOST_STATES = 60_000
const STATES_PER_CONSTANT = 40

/** The classes of arbitrary text; undefined if there are too many. */
export function textClasses(tests: TextTests, mostStates = MOST_STATES): TextClasses | undefined {
  return new Explorer(tests, undefined, mostStates).explore()
}

/** The classes of host names in the form connections have them: lower case, A-labels, no trailing dot. */
export function hostClasses(tests: HostTests, mostStates = MOST_STATES): TextClasses | undefined {
  const lower = (texts: Iterable<string>) => [...texts].filter((text) => !/[A-Z]/.test(text))
  const equal = new Set([...lower(tests.equal), ...tests.folded])
  return new Explorer({ ...tests, equal, folded: new Set() }, tests.ofDomains, mostStates).explore()
}

/** Constants by their last byte, their second to last … */
class Trie {
  readonly next: Map<number, number>[] = [new Map()]
  readonly ends: boolean[] = [false]

  constructor(texts: Iterable<string>) {
    for (const text of texts) {
      let node = 0
      for (let at = text.length - 1; at >= 0; at--) {
        const byte = text.charCodeAt(at)
        const known = this.next[node]?.get(byte) ?? this.next.push(new Map()) - 1
        this.next[node]?.set(byte, known)
        this.ends[known] ??= false
        node = known
      }
      this.ends[node] = true
    }
  }

  step(node: number, byte: number): number {
    return node < 0 ? -1 : (this.next[node]?.get(byte) ?? -1)
  }

  found(node: number): number {
    return node >= 0 && this.ends[node] === true ? node : -1
  }
}

interface Position {
  readonly text: string
  readonly equal: number
  readonly folded: number
  readonly scans: readonly number[]
  /** hosts: the longest constant that was a domain of what was read */
  readonly domain: number
  /** hosts: for each test of domains, whether one passed and whether one failed */
  readonly passed: string
  /** hosts: length of the label being read */
  readonly label: number
}

const DOT = 0x2e
const LETTERS = 'xabcdefghijklmnopqrstuvwyz'
const PREFERRED = [...LETTERS, ...'0123456789', ...LETTERS.toUpperCase(), '-', '_', '.', '@', ' ']

class Explorer {
  readonly #tests: TextTests
  readonly #ofDomains: readonly ((domain: string) => boolean)[] | undefined
  readonly #mostStates: number
  readonly #equal: Trie
  readonly #folded: Trie
  /** bytes in order of preference, by what no automaton tells apart */
  readonly #columns: readonly (readonly number[])[]

  constructor(tests: TextTests, ofDomains: HostTests['ofDomains'] | undefined, mostStates: number) {
    this.#tests = tests
    this.#ofDomains = ofDomains
    this.#mostStates = mostStates + STATES_PER_CONSTANT * (tests.equal.size + tests.folded.size)
    this.#equal = new Trie(tests.equal)
    this.#folded = new Trie(tests.folded)
    const isHost = ofDomains !== undefined
    const bytes = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !isHost || isOfHost(byte))
    const rank = new Map(PREFERRED.map((unit, at) => [unit.charCodeAt(0), at] as const))
    bytes.sort((a, b) => (rank.get(a) ?? 256 + a) - (rank.get(b) ?? 256 + b))
    const keyOf = (byte: number) => [isHost && byte === DOT, ...tests.scans.map((scan) => scan.columns[byte])].join()
    this.#columns = [...Map.groupBy(bytes, keyOf).values()]
  }

  explore(): TextClasses | undefined {
    const { scans } = this.#tests
    const first: Position = {
      text: '',
      equal: 0,
      folded: 0,
      scans: scans.map(({ start }) => start),
      domain: -1,
      passed: (this.#ofDomains ?? []).map(() => '0').join(''),
      label: 0,
    }
    const seen = new Set([keyOf(first)])
    const queue = [first]
    const classes = new Map<string, string>()
    for (let at = 0; at < queue.length; at++) {
      const position = queue[at] as Position
      this.#addClass(position, classes)
      for (const byte of this.#bytesAfter(position)) {
        const next = this.#step(position, byte)
        const key = keyOf(next)
        if (seen.has(key)) continue
        if (seen.size >= this.#mostStates) return undefined
        seen.add(key)
        queue.push(next)
      }
    }
    for (const text of this.#tests.preferred ?? []) this.#prefer(text, first, classes)
    const texts = [...classes.values()]
    return { texts, doubtful: new Set(texts.filter((text) => !this.#isPossible(text))) }
  }

  #prefer(text: string, first: Position, classes: Map<string, string>): void {
    let position = first
    for (let at = text.length - 1; at >= 0; at--) position = this.#step(position, text.charCodeAt(at))
    const key = this.#classOf(position)
    const before = classes.get(key)
    if (before !== undefined && !this.#tests.equal.has(before)) classes.set(key, text)
  }

  #isPossible(text: string): boolean {
    if (this.#ofDomains === undefined) return isUtf8(text)
    const host = parseHost(text)
    return host?.kind === 'name' && host.name === text
  }

  /** Every way on that could matter: the constants' own bytes, and one byte of each column besides. */
  #bytesAfter({ equal, folded, label }: Position): Iterable<number> {
    const own = new Set(equal < 0 ? [] : this.#equal.next[equal]?.keys())
    for (const byte of folded < 0 ? [] : (this.#folded.next[folded]?.keys() ?? [])) {
      own.add(byte)
      if (byte >= 0x61 && byte <= 0x7a) own.add(byte - 32)
    }
    const others = this.#columns.flatMap((column) => column.find((byte) => !own.has(byte)) ?? [])
    const bytes = [...own, ...others]
    if (this.#ofDomains === undefined) return bytes
    return bytes.filter((byte) => isOfHost(byte) && (byte !== DOT || label > 0))
  }

  #step(before: Position, byte: number): Position {
    const isBoundary = this.#ofDomains !== undefined && byte === DOT
    const { domain, passed } = isBoundary ? this.#atBoundary(before) : before
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte
    return {
      text: String.fromCharCode(byte) + before.text,
      equal: this.#equal.step(before.equal, byte),
      folded: this.#folded.step(before.folded, lower),
      scans: before.scans.map((state, at) => this.#tests.scans[at]?.step(state, byte) ?? 0),
      domain,
      passed,
      label: this.#ofDomains === undefined || isBoundary ? 0 : 1,
    }
  }

  #atBoundary({ text, equal, domain, passed }: Position): Pick<Position, 'domain' | 'passed'> {
    const found = this.#equal.found(equal)
    const tests = this.#ofDomains ?? []
    // 1: one passed; 2: one failed; 3: both
    const both = tests.map((test, at) => Number(passed[at]) | (test(text) ? 1 : 2)).join('')
    return { domain: found < 0 ? domain : found, passed: both }
  }

  #addClass(position: Position, classes: Map<string, string>): void {
    if (this.#ofDomains !== undefined && position.label === 0) return
    const key = this.#classOf(position)
    const before = classes.get(key)
    if (before === undefined || (!this.#isPossible(before) && this.#isPossible(position.text))) {
      classes.set(key, position.text)
    }
  }

  /** What the tests say of the text read so far, taken as the whole value. */
  #classOf(position: Position): string {
    const { domain, passed } = this.#ofDomains === undefined ? position : this.#atBoundary(position)
    const accepted = position.scans.map((state, at) => (this.#tests.scans[at]?.accepts(state) ? 1 : 0)).join('')
    const [equal, folded] = [this.#equal.found(position.equal), this.#folded.found(position.folded)]
    return `${equal}|${folded}|${domain}|${passed}|${accepted}`
  }
}

function keyOf({ equal, folded, scans, domain, passed, label }: Position): string {
  return `${equal}|${folded}|${domain}|${passed}|${label}|${scans.join()}`
}

function isOfHost(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || [0x2d, 0x2e, 0x5f].includes(byte)
}
