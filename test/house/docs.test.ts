import { expect, test } from 'vitest'
import { docViolations } from '../../scripts/check-docs.ts'
import { sourceFiles } from '../../scripts/source-files.ts'

test('every exported function and class says what a reader needs', () => {
  expect(docViolations(sourceFiles())).toEqual([])
})

test.each([
  ['export function openDoor(): void {}', '`openDoor` has no doc comment'],
  ['export async function openDoor(): Promise<void> {}', '`openDoor` has no doc comment'],
  ['export abstract class Door {}', '`Door` has no doc comment'],
  ['export const openDoor = (name: string): void => use(name)', '`openDoor` has no doc comment'],
  ['// Opens it.\nexport function openDoor(): void {}', '`openDoor` has no doc comment'],
  ['/** Of something else. */\nconst a = 1\nexport function openDoor(): void {}', '`openDoor` has no doc comment'],
  ['/** Opens a door. */\n\nexport function openDoor(): void {}', '`openDoor` has no doc comment'],
  ['/** Open the door. */\nexport function openDoor(): void {}', 'only repeats its name'],
])('the check sees what %j lacks', (text, complaint) => {
  expect(docViolations(new Map([['src/net/door.ts', `// Doors.\n${text}\n`]]))).toEqual([
    expect.stringContaining(complaint),
  ])
})

test.each([
  '/** Opens the door of a name; throws a RangeError for none. */\nexport function openDoor(): void {}',
  '/** Opens it,\n *  from inside. */\nexport function open(by: string): void\nexport function open(by: number): void\n',
  'function openDoor(): void {}',
  "export const DOOR = 'a door'",
])('the check is content with %j', (text) => {
  expect(docViolations(new Map([['src/net/door.ts', `// Doors.\n${text}\n`]]))).toEqual([])
})
