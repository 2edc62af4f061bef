// The solver, Z3, as a program that reads SMT-LIB 2.6. Loaded when the first question is asked; a machine without the
// package gets a hint. Knows nothing of policies.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { InputError } from '../errors/issue.ts'
import type { ClassVariable, Script, Term } from './terms.ts'

/** The values of a connection that meets a question. */
export interface Model {
  numberOf(variable: ClassVariable): number
  holds(term: Term): boolean
}

export type SolverAnswer =
  | { readonly kind: 'impossible' }
  | { readonly kind: 'possible'; readonly model: Model }
  | { readonly kind: 'unknown'; readonly why: string }

/** A question is not asked where no time is left for it; its answer is then `unknown`. */
export interface Solver {
  /** Whether the script and all of these conditions can hold together. `looked`: further terms the model shall know. */
  ask(script: Script, conditions: readonly Term[], timeoutMs: number, looked?: readonly Term[]): Promise<SolverAnswer>
  /** Whether they can hold together, without an example. */
  canHold(script: Script, conditions: readonly Term[], timeoutMs: number): Promise<boolean>
  /** Of these conditions, those that exclude each other; undefined if they do not, or it is not known. */
  conflictOf(script: Script, conditions: readonly Term[], timeoutMs: number): Promise<readonly Term[] | undefined>
  /** Ends the question being asked; its answer is `unknown`. */
  interrupt(): void
  close(): void
}

const MEMORY_MB = 2000
const OUT_OF_TIME = 'timeout'

/** Starts the solver. `inPlace`: short questions may hold up this thread, which costs less than handing them to another.
 *  Throws an InputError where the package is not installed. */
export async function startSolver({ inPlace = true } = {}): Promise<Solver> {
  open++
  loaded ??= load()
  const { Z3, em } = await loaded
  const config = Z3.mk_config()
  const context = Z3.mk_context(config)
  Z3.del_config(config)
  const memory: SolverMemory = em
  let questions = 0

  /** The answer's lines, the first of them `sat`, `unsat` or `unknown`. */
  async function evaluate(text: string): Promise<string> {
    try {
      return await evaluateIn(memory, context, text)
    } catch (thrown) {
      return `unknown\n(error "${thrown instanceof Error ? thrown.message : String(thrown)}")`
    }
  }

  /** What goes in front of the next question. */
  let pending = '(set-logic QF_FD)\n(set-option :produce-unsat-cores true)\n'

  async function check(script: Script, conditions: readonly Term[], timeoutMs: number) {
    if (timeoutMs <= 0) return { names: [], answer: OUT_OF_TIME }
    const names = conditions.map((condition) => {
      const name = `q${++questions}`
      return { name, condition, text: `(declare-const ${name} Bool)(assert (=> ${name} ${condition}))` }
    })
    const literals = names.map(({ name }) => name)
    const question = `(check-sat-assuming (${literals.join(' ')}))\n`
    const head = [pending, script.take(), ...names.map((one) => one.text), `(set-option :rlimit ${SHORT_STEPS})`]
    // a question that was answered costs nothing any more
    pending = literals.map((name) => `(assert (not ${name}))\n`).join('')
    const begun = `${head.join('\n')}\n${question}`
    const quick = (inPlace ? evaluateNow(memory, context, begun) : await evaluate(begun)).trim()
    if (quick !== 'unknown') return { names, answer: quick }
    const limits = `(set-option :rlimit 0)\n(set-option :timeout ${Math.max(1, Math.round(timeoutMs))})\n`
    const answer = (await evaluate(`${limits}${question}`)).trim()
    pending += '(set-option :timeout 4294967295)\n'
    return { names, answer }
  }

  const known = new Map<Term, string>()

  /** Symbols for terms, whose values can be read. */
  function labelled(terms: readonly Term[]): ReadonlyMap<Term, string> {
    const fresh = [...new Set(terms)].filter((term) => !known.has(term))
    for (const term of fresh) known.set(term, `l${known.size}`)
    for (const term of fresh)
      pending += `(declare-const ${known.get(term)} Bool)(assert (= ${known.get(term)} ${term}))\n`
    return new Map(terms.map((term) => [term, known.get(term) ?? '']))
  }

  return {
    async ask(script, conditions, timeoutMs, looked = []) {
      const first = script.take()
      pending += `${first}\n`
      const labels = labelled(looked)
      const { answer } = await check(script, conditions, timeoutMs)
      if (answer === 'unsat') return { kind: 'impossible' }
      if (answer === OUT_OF_TIME) return { kind: 'unknown', why: reasonOf(OUT_OF_TIME) }
      if (answer !== 'sat') {
        refuseError(answer)
        const why = evaluateNow(memory, context, '(get-info :reason-unknown)').replace(/^.*"(.*)".*$/s, '$1')
        return { kind: 'unknown', why: reasonOf(why) }
      }
      const values = evaluateNow(
        memory,
        context,
        `(get-value (${[...script.variables, ...labels.values()].join(' ')}))`,
      )
      return { kind: 'possible', model: readModel(values, labels) }
    },
    async canHold(script, conditions, timeoutMs) {
      return (await check(script, conditions, timeoutMs)).answer === 'sat'
    },
    async conflictOf(script, conditions, timeoutMs) {
      const { names, answer } = await check(script, conditions, timeoutMs)
      if (answer !== 'unsat') return undefined
      const found = new Set(evaluateNow(memory, context, '(get-unsat-core)').match(/q\d+/g))
      return names.filter(({ name }) => found.has(name)).map(({ condition }) => condition)
    },
    interrupt: () => Z3.interrupt(context),
    close: () => {
      Z3.del_context(context)
      open--
      if (open > 0) return
      loaded = undefined
      em.PThread.terminateAllThreads()
    },
  }
}

/** What Emscripten gives of a program's memory. */
interface SolverMemory {
  readonly HEAPU8: Uint8Array
  readonly _malloc: (bytes: number) => number
  readonly _free: (at: number) => void
  readonly ccall: (name: string, result: string, types: readonly string[], values: readonly unknown[]) => unknown
  readonly async_call: (call: () => unknown) => Promise<string>
  readonly UTF8ToString: (at: number) => string
}

/** Steps of the solver that are waited for in place; a thread for a question costs as much as a small question. */
const SHORT_STEPS = 300_000

/** The package answers one question at a time, whoever asks. */
let queue: Promise<unknown> = Promise.resolve()

/** The package's own `eval_smtlib2_string` puts the text on a stack that is used again while another thread still
 *  reads it; this one keeps it until the answer is there. The text is ASCII. */
async function evaluateIn(memory: SolverMemory, context: unknown, text: string): Promise<string> {
  const at = memory._malloc(text.length + 1)
  try {
    Buffer.from(memory.HEAPU8.buffer).write(`${text}\0`, at, 'latin1')
    const turn = queue.then(() =>
      memory.async_call(() =>
        memory.ccall('async_Z3_eval_smtlib2_string', 'void', ['number', 'number'], [context, at]),
      ),
    )
    queue = turn.catch(() => undefined)
    return await turn
  } finally {
    memory._free(at)
  }
}

/** The same in place, for what is known to be short. */
function evaluateNow(memory: SolverMemory, context: unknown, text: string): string {
  const at = memory._malloc(text.length + 1)
  try {
    Buffer.from(memory.HEAPU8.buffer).write(`${text}\0`, at, 'latin1')
    return memory.UTF8ToString(
      Number(memory.ccall('Z3_eval_smtlib2_string', 'number', ['number', 'number'], [context, at])),
    )
  } finally {
    memory._free(at)
  }
}

/** Compiling the solver takes most of a second, so that questions side by side share it. */
let loaded: ReturnType<typeof load> | undefined
let open = 0

async function load() {
  const { init } = await loadPackage()
  const silent = () => {}
  const program = await init({ print: silent, printErr: silent, instantiateWasm: await instantiating() })
  program.Z3.global_param_set('memory_max_size', String(MEMORY_MB))
  return program
}

/** What is used of WebAssembly. */
interface Assembler {
  readonly compile: (bytes: Uint8Array) => Promise<object>
  readonly Instance: new (program: object, imports: unknown) => SolverInstance
}

interface SolverInstance {
  readonly exports: { readonly __indirect_function_table: { get: (at: number) => unknown; readonly length: number } }
}

/** Emscripten's hook. The package is built with assertions that read the table of functions at every call that may
 *  throw, which takes a third of the time; here each entry is read once. Nothing changes the table. */
async function instantiating() {
  const assembler: Assembler = Reflect.get(globalThis, 'WebAssembly')
  const path = createRequire(import.meta.url).resolve('z3-solver/build/z3-built.wasm')
  const program = await assembler.compile(readFileSync(path))
  return (imports: unknown, receive: (instance: SolverInstance, program: object) => void): object => {
    const instance = new assembler.Instance(program, imports)
    const table = instance.exports.__indirect_function_table
    const read = table.get.bind(table)
    const known = new Array<unknown>(table.length).fill(undefined)
    table.get = (at) => (known[at] ??= read(at))
    receive(instance, program)
    return instance.exports
  }
}

async function loadPackage(): Promise<typeof import('z3-solver')> {
  try {
    return await import('z3-solver')
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_MODULE_NOT_FOUND')) throw thrown
    const message = 'proofs need the package `z3-solver`, which is not installed'
    const hint = 'run `npm install` without `--omit=optional`, or `npm install z3-solver`'
    throw new InputError([{ severity: 'error', code: 'prove.no_solver', message, hint }])
  }
}

/** An error in what the solver was told is one of ours. */
function refuseError(answer: string): void {
  const found = /\(error "([^"]*)"\)/.exec(answer)
  if (found === null || /memory|canceled|timeout|interrupt/i.test(found[1] ?? '')) return
  throw new Error(`the solver refused its input: ${found[1]}`)
}

function reasonOf(why: string): string {
  if (/memory/i.test(why)) return `the solver needs more than ${MEMORY_MB} MB`
  if (/cancel|interrupt/i.test(why)) return 'it was interrupted or took longer than the time limit'
  return /timeout/i.test(why) ? 'it takes longer than the time limit' : `the solver gave up: ${why.trim()}`
}

function readModel(text: string, labels: ReadonlyMap<Term, string>): Model {
  const values = new Map<string, string>()
  for (const [, name = '', value = ''] of text.matchAll(/\(([^\s()]+)\s+(#b[01]+|#x[0-9a-f]+|true|false)\)/g)) {
    values.set(name, value)
  }
  return {
    numberOf: ({ name }) => {
      const value = values.get(name)
      return value === undefined ? 0 : Number(`0${value.slice(1)}`)
    },
    holds: (term) => term === 'true' || values.get(labels.get(term) ?? term) === 'true',
  }
}
