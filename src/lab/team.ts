// What a lab keeps of the people who share it: its own token, their tokens, the audit of what they changed, and the way back.

import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { type ApiPorts, consoleSessionOf, PROVIDER_RETURN_PATH } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { createProviderSignIn, type ProviderSignIn } from '../identity/provider-sign-in.ts'
import type { EventLog } from '../log/event-log.ts'
import { openSessionFile } from '../log/session-file.ts'
import { openAccessTokens } from '../store/access-tokens.ts'
import { type ApiToken, openApiToken } from '../store/api-token.ts'
import { openAuditLog } from '../store/audit-log.ts'
import type { Journal } from '../store/journal.ts'
import { openPolicyHistory } from '../store/policy-history.ts'
import type { Store } from '../store/store.ts'
import type { LabOptions, RunningLab } from './start-lab.ts'

export interface Team extends Pick<ApiPorts, 'tokens' | 'audit' | 'policyHistory'> {
  readonly token: ApiToken
  /** sign-in by the OpenID provider; undefined where none is configured */
  readonly provider: ProviderSignIn | undefined
  close(deadlineMs: number): Promise<void>
}

/** Opens it, from the state; `--ephemeral` writes no file. Throws an InputError for a token that cannot be used. */
export function openTeam(
  { api, log: { maxBytes, keep, auditKeepMs } }: LabConfig,
  { state, ephemeral, apiToken }: LabOptions,
  { journal, store, events }: { readonly journal: Journal; readonly store: Store; readonly events: EventLog },
): Team {
  const path = join(state, 'audit.ndjson')
  // one that others can read is its owner's alone from now on, and not from the next entry on
  if (!ephemeral && existsSync(path)) chmodSync(path, 0o600)
  const onProblem = (error: unknown) => events.error(`cannot write the audit \`${path}\``, error)
  const file = ephemeral ? undefined : openSessionFile({ path, maxBytes, keep, onProblem })
  const provider = openProvider(api, events)
  return {
    provider,
    token: openApiToken({
      ...(ephemeral ? {} : { directory: state }),
      ...(apiToken === undefined ? {} : { given: apiToken }),
    }),
    tokens: openAccessTokens(journal.table('token'), consoleSessionOf),
    audit: openAuditLog({
      table: journal.table('audit'),
      ...(file === undefined ? {} : { file }),
      keepMs: auditKeepMs,
      onProblem: (message) => events.warn(message),
    }),
    policyHistory: openPolicyHistory(journal.table('policy'), store, { onProblem: (message) => events.warn(message) }),
    close: async (deadlineMs) => {
      provider?.close()
      await file?.close(deadlineMs)
    },
  }
}

function openProvider({ oidc, publicUrl }: LabConfig['api'], events: EventLog): ProviderSignIn | undefined {
  if (oidc === undefined || publicUrl === undefined) return undefined
  return createProviderSignIn({
    settings: oidc,
    redirectUri: publicUrl.origin + publicUrl.base + PROVIDER_RETURN_PATH,
    onNotice: (message) => events.warn(message),
  })
}

/** The token itself is shown the one time it is made. */
export function shownToken({ isNew, file, current }: ApiToken): RunningLab['apiToken'] {
  return { ...(file === undefined ? {} : { file }), ...(isNew ? { made: current() } : {}) }
}
