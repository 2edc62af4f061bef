// What kind of file somebody brought, seen from its contents. A file that is none of those says what it looks like and how to get
// a good one, once, and never an error for each character.

import { readFailure, readSourceDocument, readSourceText, type SourceDocument } from '../config/source-document.ts'
import { InputError, inputError } from '../errors/issue.ts'
import { isExport, objectOf, objectsIn } from './from-export.ts'
import { isTerraform } from './from-terraform.ts'

/** What a file is, with what is in it. */
export type PolicyFile =
  | { readonly kind: 'terraform' | 'export'; readonly data: unknown }
  /** a whole configuration, the sections that `rules pull` writes, or a list of rules as configurations have it */
  | { readonly kind: 'configuration' | 'sections' | 'rule list'; readonly document: SourceDocument }

const FORMS =
  'rules come as YAML (docs/configuration.md), as the API answers them (`curl …/gateway/rules`), as Terraform (`.tf`, a folder of them, `terraform show -json`, `terraform.tfstate`), or from `egresslab rules pull`'

/** The sections that `rules pull` writes. */
const SECTIONS: ReadonlySet<string> = new Set(['rules', 'lists', 'virtual_networks'])

/** Reads and recognises a file. Throws an InputError for one that is none of these. */
export function recogniseFile(file: string): PolicyFile {
  const text = readText(file)
  const json = jsonValues(text)
  if (json !== undefined) return recogniseData(file, json.length === 1 ? json[0] : json)
  const looks = looksOf(text)
  if (looks !== undefined) throw unknownFile(file, looks)
  const document = readSourceDocument(file)
  const [problem] = document.issues
  if (problem !== undefined) throw new InputError([{ hint: FORMS, ...problem }])
  return recogniseData(file, document.data, document)
}

function recogniseData(file: string, data: unknown, document?: SourceDocument): PolicyFile {
  if (isTerraform(data)) return { kind: 'terraform', data }
  if (isExport(data)) return { kind: 'export', data }
  const looks = looksOfData(data)
  if (looks !== undefined) throw unknownFile(file, looks)
  const isPart = Object.keys(objectOf(data) ?? {}).every((name) => SECTIONS.has(name))
  const kind = Array.isArray(data) ? 'rule list' : isPart ? 'sections' : 'configuration'
  return { kind, document: document ?? readSourceDocument(file) }
}

/** The text of a file. Throws an InputError for one that cannot be read or is no text. */
export function readText(file: string): string {
  try {
    return readSourceText(file)
  } catch (thrown) {
    const reason = thrown instanceof TypeError ? binaryLooks(file) : readFailure(thrown)
    throw inputError('config.unreadable', `cannot read \`${file}\`: ${reason}`, { file })
  }
}

/** A plan of Terraform is the one binary file that people have. */
function binaryLooks(file: string): string {
  return /plan/i.test(file)
    ? 'it is not text; if it is a plan of Terraform, use what `terraform show -json PLAN` prints'
    : 'it is not text; a plan of Terraform has to be shown first, `terraform show -json PLAN > plan.json`'
}

/** JSON values one after another, as `jq` and concatenated files have them; undefined for a text that is not JSON. */
export function jsonValues(text: string): readonly unknown[] | undefined {
  if (!/^[\s\uFEFF]*[[{]/.test(text)) return undefined
  const whole = text.replace(/^\uFEFF/, '')
  try {
    return [JSON.parse(whole)]
  } catch {
    return severalValues(whole)
  }
}

function severalValues(text: string): readonly unknown[] | undefined {
  const values: unknown[] = []
  let [depth, start] = [0, -1]
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '{' || token === '[') {
      if (depth++ === 0) start = index
    } else if (token === '}' || token === ']') {
      if (--depth !== 0) continue
      try {
        values.push(JSON.parse(text.slice(start, index + 1)))
      } catch {
        return undefined
      }
    }
  }
  return depth === 0 && values.length > 0 ? values : undefined
}

interface Looks {
  /** `is a web page` */
  readonly like: string
  readonly hint?: string
}

const TEXTS: readonly (readonly [RegExp, Looks])[] = [
  [/^\s*$/, { like: 'is empty' }],
  [/^\s*<(!doctype|html|\?xml)/i, { like: 'is a web page, perhaps one that asks to log in' }],
  [
    /^\s*(resource|data|module|variable|provider|terraform|locals)\b[^\n=:]*\{/m,
    { like: 'looks like a configuration of Terraform', hint: 'call it `.tf`, or give the folder' },
  ],
  [
    /^\s*# \w+[\w.[\]"]*:\n\s*resource "/m,
    { like: 'looks like what `terraform show` prints for people', hint: 'use `terraform show -json`' },
  ],
  [
    /^\s*(not\s*\(?|any\s*\(|all\s*\(|\()*\s*(net|identity|device_posture|dns|http|app|proxy)\.[\w.]+/,
    { like: 'looks like an expression alone', hint: 'write a rule around it: `- { name: NAME, traffic: EXPRESSION }`' },
  ],
  [
    /^(curl: |HTTP\/[\d.]+ \d{3})/,
    { like: 'is what `curl` says besides the answer', hint: 'use `curl -sS` without `-i`' },
  ],
]

function looksOf(text: string): Looks | undefined {
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1]
}

const SESSION_FIELDS = ['SessionID', 'SessionStartTime', 'EgressIP', 'SourceIP', 'Datetime']

/** Undefined for what may be a configuration or a list of rules. */
function looksOfData(data: unknown): Looks | undefined {
  const whole = objectOf(data)
  const entries = objectsIn([data].flat())
  if (entries.some((entry) => SESSION_FIELDS.some((name) => name in entry))) {
    return { like: 'has records of sessions, not rules', hint: 'decide them with `egresslab replay`' }
  }
  if (whole !== undefined && objectOf(whole.resource) !== undefined) {
    return {
      like: 'is a configuration of Terraform in JSON',
      hint: 'use `terraform show -json` of a plan or the state',
    }
  }
  if (whole !== undefined && 'format_version' in whole) {
    return { like: "is Terraform's JSON, but of neither a state nor a plan", hint: 'use `terraform show -json`' }
  }
  if (Array.isArray(data)) {
    if (data.length === entries.length) return undefined
    return { like: 'is a list of texts', hint: 'a rule is a block with a `name`' }
  }
  if (whole === undefined) return data === null ? { like: 'is empty' } : { like: 'is a line of text' }
  const keys = Object.keys(whole)
  if (keys.length === 0 || keys.some(isSection)) return undefined
  const shown = keys.slice(0, 4).map((key) => `\`${key}\``)
  return { like: `has ${shown.join(', ')}${keys.length > 4 ? ' …' : ''}, and nothing that says rules` }
}

/** Sections of a configuration, as far as they tell it from other files. */
function isSection(key: string): boolean {
  return SECTIONS.has(key) || CONFIGURATION.has(key)
}

const CONFIGURATION: ReadonlySet<string> = new Set(
  'account settings dedicated_ips shared_egress rules_file users groups listeners devices sources destinations dns'.split(
    ' ',
  ),
)

function unknownFile(file: string, { like, hint }: Looks): InputError {
  return inputError('rules.unknown_file', `\`${file}\` ${like}`, {
    hint: hint === undefined ? FORMS : `${hint}; ${FORMS}`,
    file,
  })
}
