// The built console, read once and served from memory under the exact paths it has. Where it was not built the lab runs all
// the same, and says so on its page.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Page } from '../api/index.ts'

/** `console/dist` of the checkout */
const FOLDER = join(import.meta.dirname, '..', '..', 'console', 'dist')

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
}

/** Addresses of the console's views: each is the one page, which shows the view by its address. */
const VIEWS = ['/', '/sessions', '/rules', '/explain', '/verify', '/clock']

/** Path → file. */
export function readConsole(folder = FOLDER): (path: string) => Page | undefined {
  const files = new Map(filesBelow(folder).map((path) => [`/${path}`, pageOf(join(folder, path))]))
  const index = files.get('/index.html') ?? NOT_BUILT
  for (const view of VIEWS) files.set(view, index)
  files.set('/me', files.get('/me.html') ?? NOT_BUILT)
  return (path) => files.get(path)
}

const NOT_BUILT: Page = {
  contentType: 'text/html; charset=utf-8',
  body: '<!doctype html><html lang="en"><title>egresslab</title><p>The console was not built: run <code>npm run build:console</code> and start again. The API works without it.',
}

function pageOf(file: string): Page {
  const body = readFileSync(file)
  return {
    contentType: CONTENT_TYPES[extname(file)] ?? 'application/octet-stream',
    body,
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    immutable: /[/\\]assets[/\\]/.test(file),
  }
}

function filesBelow(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile() && extname(entry.name) in CONTENT_TYPES)
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.length + 1)
          .replaceAll('\\', '/'),
      )
  } catch {
    return []
  }
}
