// Builds the two pages, the console and `/me`, into console/dist. Nothing is inlined, so that the pages' security policy can
// forbid inline code.

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// biome-ignore lint/style/noDefaultExport: vite reads the default export
export default defineConfig({
  root: here('.'),
  // the lab puts its sub-path in, where it has one
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: here('dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: { index: here('index.html'), me: here('me.html') } },
  },
})
