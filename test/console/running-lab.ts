// A whole lab with its console for tests: the shipped configuration on free ports and stand-ins of its own, with requests sent
// through the proxy as clients do.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { buildConsole } from '../../scripts/build-console.mjs'
import { type StartedLab, startLab } from '../../src/lab/start-lab.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'

export const TOKEN = 'a-token-for-the-console'

export interface ConsoleLab {
  readonly lab: StartedLab
  /** `http://127.0.0.1:12345` */
  readonly url: string
  /** `127.0.0.1:12345` */
  readonly proxy: string
  /** GETs through the proxy as one of the shipped users (`bob`, `carol;vnet=vnet-EMEA`); answers the body */
  send(who: string, target: string): Promise<string>
  /** Asks the API with the token; answers the result. */
  ask(method: string, path: string, body?: unknown): Promise<unknown>
  close(): Promise<void>
}

/** `number`: sets labs of one test run apart. */
export async function startConsoleLab(number: number, configFile = 'config/lab.yaml'): Promise<ConsoleLab> {
  const problem = buildConsole(process.execPath)
  if (problem !== undefined) throw new Error(problem)
  const lab = await startSomewhere(configFile, number)
  const [listener] = lab.listeners
  const proxy = `127.0.0.1:${listener?.port}`
  const url = `http://127.0.0.1:${lab.api?.port}`
  return {
    lab,
    url,
    proxy,
    send: async (who, target) => {
      const [name = '', ...parameters] = who.split(';')
      const user = [`${name}@example.com`, ...parameters].join(';')
      const { body } = await curl('-x', `http://${proxy}`, '-U', `${user}:lab-${name}`, target)
      return body
    },
    ask: async (method, path, body) => {
      const response = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const answer = (await response.json()) as { result: unknown; success: boolean; errors: unknown }
      if (!answer.success) throw new Error(`${method} ${path}: ${JSON.stringify(answer.errors)}`)
      return answer.result
    },
    close: () => lab.close(),
  }
}

/** On stand-ins that no other lab of this machine has: tests run beside each other. */
async function startSomewhere(configFile: string, number: number): Promise<StartedLab> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await startLab({
        configFile,
        state: mkdtempSync(join(tmpdir(), 'console-lab-')),
        ephemeral: true,
        portsFromZero: true,
        standInNetwork: ownNetwork((6 + number + attempt) % 10),
        apiToken: TOKEN,
      })
    } catch (thrown) {
      if (attempt >= 8 || !String(thrown).includes('EADDRINUSE')) throw thrown
    }
  }
}

/** Opens a view of the console, signing in on the way. */
export async function visit(page: Page, lab: Pick<ConsoleLab, 'url'>, path: string, apiToken = TOKEN): Promise<void> {
  await page.goto(lab.url + path)
  const token = page.getByLabel('API token')
  await token
    .or(page.getByText('live', { exact: true }))
    .first()
    .waitFor()
  if (!(await token.isVisible())) return
  await token.fill(apiToken)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('live', { exact: true }).first().waitFor()
}

/** A file with this text for `startConsoleLab`. */
export function configFileOf(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'console-config-')), 'lab.yaml')
  writeFileSync(file, text)
  return file
}
