// A report for programs: annotations of GitHub Actions, SARIF 2.1.0, JUnit. Places are relative to the working folder where a file
// is in it, because that is how a service finds the line in a pull request.

import { isAbsolute, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { junitReport } from '../../analysis/junit.ts'
import { ownVersion } from '../../config/own-package.ts'
import type { Issue } from '../../errors/issue.ts'
import { pathText } from './render-issues.ts'
import type { Report } from './report.ts'

/** How GitHub and SARIF name a severity. */
const LEVELS = {
  error: { github: 'error', sarif: 'error' },
  warning: { github: 'warning', sarif: 'warning' },
  advice: { github: 'notice', sarif: 'note' },
} as const

/** Workflow commands, one a line, then the verdict. */
export function githubAnnotations({ verb, findings, verdict, subject }: Report): string {
  const lines = findings.map((finding) => {
    const { severity, code, line, column } = finding
    const place = [
      `file=${property(ownPlace(finding.file ?? subject))}`,
      ...(line === undefined ? [] : [`line=${line}`, ...(column === undefined ? [] : [`col=${column}`])]),
      `title=${property(`egresslab ${verb}: ${code}`)}`,
    ]
    return `::${LEVELS[severity].github} ${place.join(',')}::${data(wholeText(finding))}\n`
  })
  // a name in the verdict must not begin a command of its own
  return `${lines.join('')}${data(verdict).replace(/^::/, ': :')}\n`
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}

/** A log with one run. Fingerprints leave out the line, so that a finding stays the same when lines are added above it. */
export function sarifLog({ verb, findings, isGood, subject }: Report): string {
  const codes = [...new Set(findings.map(({ code }) => code))].sort()
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'egresslab',
            semanticVersion: ownVersion(),
            rules: codes.map((id) => ({ id, shortDescription: { text: `${id} of egresslab ${verb}` } })),
          },
        },
        automationDetails: { id: `egresslab/${verb}/` },
        invocations: [{ executionSuccessful: true, exitCodeDescription: isGood ? 'good' : 'not good' }],
        columnKind: 'utf16CodeUnits',
        results: findings.map((finding) => sarifResult(finding, codes.indexOf(finding.code), subject)),
      },
    ],
  }
  return `${JSON.stringify(log, null, 2)}\n`
}

function sarifResult(finding: Issue, ruleIndex: number, subject: string): object {
  const { severity, code, message, line, column, path = [] } = finding
  const uri = ownPlace(finding.file ?? subject)
  const region = { startLine: line, ...(column === undefined ? {} : { startColumn: column }) }
  return {
    ruleId: code,
    ruleIndex,
    level: LEVELS[severity].sarif,
    message: { text: wholeText(finding) },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: isAbsolute(uri) ? pathToFileURL(uri).href : asReference(uri) },
          ...(line === undefined ? {} : { region }),
        },
        ...(path.length === 0 ? {} : { logicalLocations: [{ fullyQualifiedName: pathText(path) }] }),
      },
    ],
    partialFingerprints: { 'egresslab/v1': `${code} ${uri} ${pathText(path)} ${message}` },
  }
}

/** A relative reference (RFC 3986 section 4.2): a first segment with a colon would be a scheme. */
function asReference(path: string): string {
  const encoded = encodeURI(path).replaceAll('#', '%23').replaceAll('?', '%3F')
  return /^[^/]*:/.test(encoded) ? `./${encoded}` : encoded
}

/** Every finding as a test case: an error failed, everything else passed; one that passed where there is none. */
export function junitOfFindings({ verb, findings, subject }: Report): string {
  const nothing: Issue = { severity: 'advice', code: 'nothing found', message: '' }
  const byFile = Map.groupBy(findings.length === 0 ? [nothing] : findings, ({ file }) => ownPlace(file ?? subject))
  const files = [...byFile].map(([file, found]) => ({
    file,
    cases: found.map((finding) => ({
      name: finding.message === '' ? finding.code : `${finding.code}: ${finding.message}`,
      file,
      line: finding.line ?? 1,
      passed: finding.severity !== 'error',
      message: finding.message,
      detail: wholeText(finding),
      durationMs: 0,
    })),
  }))
  return junitReport({ files }, ({ detail }) => detail, `egresslab ${verb}`)
}

/** Message, hint and drawing; a drawing may have the hint. */
function wholeText({ message, hint, drawing }: Issue): string {
  const isDrawn = hint !== undefined && drawing?.includes(hint) === true
  const lines = [message, hint === undefined || isDrawn ? '' : `hint: ${hint}`, drawing ?? '']
  return lines.filter((line) => line !== '').join('\n')
}

/** With slashes; relative to the working folder where it is in it. */
function ownPlace(file: string): string {
  const within = relative('', file)
  const isOutside = within.startsWith('..') || isAbsolute(within)
  return (isOutside ? file : within).split(sep).join('/')
}
