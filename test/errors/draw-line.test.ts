import { describe, expect, it } from 'vitest'
import { drawLine } from '../../src/errors/issue.ts'

describe('a line with carets under a part of it', () => {
  it('shows a short line whole', () => {
    expect(drawLine('  port: 80x0', 9, 4)).toBe('  port: 80x0\n        ^^^^')
  })

  it('keeps tabs, so that the carets stand where the text does', () => {
    expect(drawLine('\tport: x', 8, 1)).toBe('\tport: x\n\t      ^')
  })

  it('draws one caret under nothing', () => {
    expect(drawLine('port:', 6, 0)).toBe('port:\n     ^')
  })

  it('shows a line of a megabyte around the part only', () => {
    const line = `${'a'.repeat(500_000)}HERE${'b'.repeat(500_000)}`
    const [shown = '', carets = ''] = drawLine(line, 500_001, 4).split('\n')
    expect(shown.length).toBeLessThan(200)
    expect(shown.startsWith('… ') && shown.endsWith(' …')).toBe(true)
    expect(shown.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1)).toBe('HERE')
  })

  it('never draws carets past what is shown', () => {
    const [shown = '', carets = ''] = drawLine('x'.repeat(1000), 1, 1000).split('\n')
    expect(carets.length).toBeLessThanOrEqual(shown.length)
  })
})
