// Reading the configuration for a verb whose output is about something else: errors stop it, warnings go to standard error.

import type { LabConfig } from '../config/lab-config.ts'
import type { Io } from './io.ts'
import { paintFor } from './paint.ts'
import { countIssues } from './render-issues.ts'
import type { Services } from './services.ts'

/** The configuration and whatever is wrong with it without being an error, counted on standard error.
 *  Throws an InputError with every error. */
export async function readConfigNoting(file: string, io: Io, services: Services): Promise<{ config: LabConfig }> {
  const { config, issues } = await services.readConfig(file)
  const warnings = issues.filter(({ severity }) => severity === 'warning')
  if (warnings.length > 0) {
    const paint = paintFor(io, io.stderr)
    io.stderr.write(`${paint.warn(countIssues(warnings))} in ${file}; \`egresslab check\` shows them\n`)
  }
  return { config }
}
