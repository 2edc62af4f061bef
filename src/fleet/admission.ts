// Whether a lab may be a member: its name and its data center are its own, its clock goes as those of the others, and its configuration
// file says what the fleet has. Whoever comes first begins the log; whoever comes while nobody is up brings a new file.

import type { FleetSettings, LabConfig } from '../config/lab-config.ts'
import { differingSections } from '../config/read-fleet.ts'
import { ChangeError } from '../errors/change-error.ts'
import { inputError } from '../errors/issue.ts'
import type { EventLog } from '../log/event-log.ts'
import { firstRows } from '../store/overlay.ts'
import type { FleetLog } from './fleet-log.ts'
import type { MemberCalls } from './member-calls.ts'
import type { Beat } from './member-watch.ts'

export interface Admission {
  readonly settings: FleetSettings
  readonly log: FleetLog
  readonly calls: MemberCalls
  readonly events: Pick<EventLog, 'info'>
  /** the configuration file */
  readonly file: string
}

const TRIES = 5
/** A member whose clock is further off than this is not let in. */
const MOST_APART_MS = 30_000

/** Begins the log, takes it over, or finds it alike. Throws InputError `fleet.*`. */
export async function admit(admission: Admission, config: LabConfig): Promise<void> {
  const { settings, log, events, file } = admission
  const { state } = log
  for (let tries = TRIES; tries > 0; tries--) {
    const up = await refuseTaken(admission)
    const isNew = state.revision === 0
    const differing = isNew ? [] : differingSections(settings.share, state.share)
    if (!isNew && differing.length === 0) return
    if (!isNew && up.length > 0) throw differs(admission, differing, up)
    const rows = firstRows(config, log.rows, Date.now())
    const proposed = await propose(admission, { type: isNew ? 'open' : 'adopt', share: settings.share, rows })
    if (proposed.kind === 'taken') {
      const what = isNew ? 'began' : `took ${inWords(differing)} of \`${file}\` over into`
      events.info(`${what} the log of fleet \`${settings.name}\` at revision ${state.revision}`)
      return
    }
    await log.catchUp()
  }
  throw inputError('fleet.unreachable', 'the log of the fleet changes too fast to read it', { file })
}

async function propose(
  { log, file }: Admission,
  act: Parameters<FleetLog['propose']>[0] & { readonly type: 'open' | 'adopt' },
) {
  try {
    return await log.propose(act, () => act.rows)
  } catch (thrown) {
    if (!(thrown instanceof ChangeError)) throw thrown
    throw inputError('fleet.unreachable', thrown.message, { file })
  }
}

function differs({ settings, file }: Admission, differing: readonly string[], up: readonly Beat[]) {
  const verb = differing.length === 1 ? 'differs' : 'differ'
  const why = `${inWords(differing)} of \`${file}\` ${verb} from what the fleet \`${settings.name}\` has`
  const hint = `make the files alike, or stop every member first; up now: ${up.map(({ by }) => by).join(', ')}`
  return inputError('fleet.configuration_differs', why, { file, hint })
}

function inWords(sections: readonly string[]): string {
  return sections.map((section) => `\`${section}\``).join(', ')
}

/** Answers who else is up. Throws InputError `fleet.colo_taken`, `.member_taken`, `.clock_apart`. */
export async function refuseTaken({ settings, log, calls, file }: Admission): Promise<readonly Beat[]> {
  const { member, colo, name } = settings
  const { members } = log.state
  const other = [...members.values()].find((entry) => entry.colo === colo && entry.name !== member)
  if (other !== undefined) {
    const why = `member \`${other.name}\` of fleet \`${name}\` is ${colo} already`
    const hint = `take it out with \`egresslab fleet leave ${other.name}\`, or be another data center`
    throw inputError('fleet.colo_taken', why, { file, hint })
  }
  const up = members.size === 0 ? [] : await calls.whoIsUp()
  for (const { by, at } of up) {
    if (by === member) {
      const why = `a member \`${member}\` of fleet \`${name}\` is running already`
      throw inputError('fleet.member_taken', why, { file, hint: 'give this one another name with `fleet.member`' })
    }
    const apart = Math.abs(Date.now() - at)
    if (apart > MOST_APART_MS) {
      const why = `the clock of this machine is ${Math.round(apart / 1000)} s from that of member \`${by}\``
      throw inputError('fleet.clock_apart', why, { file, hint: 'set the clocks by NTP' })
    }
  }
  return up
}
