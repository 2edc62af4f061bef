// The report is XML that any reader takes, whatever names and texts have in them.

import { expect, test } from 'vitest'
import { junitReport } from '../../src/analysis/junit.ts'
import type { CaseResult, TestRun } from '../../src/analysis/policy-test.ts'

function result(name: string, passed: boolean): CaseResult<null> {
  return {
    name,
    file: 'a"<&>.test.yaml',
    line: 7,
    passed,
    differences: passed ? [] : [{ what: 'rule', expected: '<a> & "b"', found: 'nothing' }],
    verdict: { kind: 'failed', code: 'name.not_found', message: '' },
    asked: null,
    durationMs: 1.5,
  }
}

const run = (cases: readonly CaseResult<null>[]): TestRun<null> => ({
  sources: [],
  coverage: [],
  files: [{ file: 'a"<&>.test.yaml', config: 'lab.yaml', cases }],
})

test('counts, places and differences are where readers look for them', () => {
  const report = junitReport(run([result('good', true), result('bad', false)]), () => 'the trace\n')
  expect(report).toBe(
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="egresslab test" tests="2" failures="1" errors="0" skipped="0" time="0.003000">',
      '  <testsuite name="a&quot;&lt;&amp;&gt;.test.yaml" tests="2" failures="1" errors="0" skipped="0" time="0.003000">',
      '    <testcase name="good" classname="a&quot;&lt;&amp;&gt;.test.yaml" file="a&quot;&lt;&amp;&gt;.test.yaml" line="7" time="0.001500"/>',
      '    <testcase name="bad" classname="a&quot;&lt;&amp;&gt;.test.yaml" file="a&quot;&lt;&amp;&gt;.test.yaml" line="7" time="0.001500">',
      '      <failure type="difference" message="rule: expected &lt;a&gt; &amp; &quot;b&quot;, found nothing">the trace',
      '</failure>',
      '    </testcase>',
      '  </testsuite>',
      '</testsuites>',
      '',
    ].join('\n'),
  )
})

test('characters XML cannot hold are replaced, all others kept', () => {
  const name = 'ctrl \u0000\u0008\u001b, half \ud83d, whole 😀, ]]> <!-- &amp; é'
  const escaped = 'ctrl \ufffd\ufffd\ufffd, half \ufffd, whole 😀, ]]&gt; &lt;!-- &amp;amp; é'
  const report = junitReport(run([result(name, false)]), () => name)
  expect(report).toContain(`<testcase name="${escaped}"`)
  expect(report).toContain(`>${escaped}</failure>`)
})
