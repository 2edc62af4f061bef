// Lists that make sense with a lab running and without: the running lab is asked where there is one; else configuration and
// state tell what a start would find, and standard error says that this is what was done.

import { InputError } from '../errors/issue.ts'
import type { LabClient, LabOptions } from './lab-client.ts'
import type { Desk } from './services.ts'
import type { VerbContext } from './verb.ts'

/** Throws an InputError when a lab was named with `--api` and does not answer, or answers and refuses. */
export async function askOrDesk<T>(
  { io, services }: VerbContext,
  options: LabOptions,
  { ask, look }: { readonly ask: (lab: LabClient) => Promise<T>; readonly look: (desk: Desk) => T },
): Promise<T> {
  let lab: LabClient
  try {
    lab = await services.connectLab(options)
  } catch (thrown) {
    const nobody = thrown instanceof InputError && thrown.issues.some(({ code }) => code === 'lab.not_running')
    if (!nobody || options.api !== undefined) throw thrown
    const desk = await services.openDesk({ configFile: options.config, state: options.state })
    const found = look(desk)
    desk.close()
    io.stderr.write('no lab is running; this is what the next start finds\n')
    return found
  }
  return ask(lab)
}
