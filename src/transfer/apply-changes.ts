// Carries changes out one request at a time, and knows at any moment what was done and what was not.

import type { PolicyChanges, PolicyOutcome, PolicyStep } from '../config/portable-policy.ts'
import type { CloudflareAccount } from './cloudflare-account.ts'
import { renameIdsIn } from './speak-of.ts'

/** Stops at the first step that fails; what was done stays done. */
export async function applyChanges(
  { steps }: PolicyChanges,
  account: CloudflareAccount,
  onDone: (step: PolicyStep) => void = () => {},
): Promise<PolicyOutcome> {
  const made = new Map<string, string>()
  const done: PolicyStep[] = []
  for (const [at, step] of steps.entries()) {
    try {
      const id = await account.carryOut({ ...step, body: renameIdsIn(step.body, made) })
      if (step.action === 'create' && step.sourceId !== undefined) made.set(step.sourceId, id)
    } catch (thrown) {
      const message = account.reasonOf(thrown)
      return { done, failed: { step, message }, notDone: steps.slice(at + 1) }
    }
    done.push(step)
    onDone(step)
  }
  return { done, notDone: [] }
}
