// `clock show`, `set`, `advance`, `reset`: the running lab's clock. It runs at the machine's pace from wherever it was set.

import type { LabAddressOptions, LabClient } from '../../lab/lab-client.ts'
import { connectLab } from '../lazy-imports.ts'
import { writeJson } from '../terminal.ts'
import { type RegisterVerb, type VerbContext, withLab } from '../verb.ts'

const PATH = '/lab/v1/clock'

interface ClockTime {
  readonly time: string
  readonly offset_seconds: number
}

export const registerClock: RegisterVerb = (program, context) => {
  const { action } = context
  const clock = program.command('clock').description("shows and sets the lab's clock")
  withLab(clock.command('show'))
    .description("prints the lab's time and its offset from the machine's")
    .action(action((options: LabAddressOptions) => turn(context, options, (lab) => lab.ask('GET', PATH))))
  withLab(clock.command('set <time>'))
    .description('sets the clock (RFC 3339: `2027-01-01T00:00:00Z`, or a date)')
    .action(
      action((time: string, options: LabAddressOptions) =>
        turn(context, options, (lab) => lab.ask('PUT', PATH, { time })),
      ),
    )
  withLab(clock.command('advance <duration>'))
    .description('moves the clock forward (`90s`, `15m`, `8h`, `7d`, `6w`) or back (`-- -8h`)')
    .action(
      action(async (duration: string, options: LabAddressOptions) => {
        const { secondsOf } = await import('../../lab/lab-client.ts')
        const seconds = secondsOf(duration)
        return turn(context, options, (lab) => lab.ask('POST', `${PATH}/advance`, { seconds }))
      }),
    )
  withLab(clock.command('reset'))
    .description("returns to the machine's time")
    .action(action((options: LabAddressOptions) => turn(context, options, (lab) => lab.ask('DELETE', PATH))))
}

async function turn(
  { io }: VerbContext,
  options: LabAddressOptions,
  act: (lab: LabClient) => Promise<unknown>,
): Promise<0> {
  const shown = (await act(await connectLab(options))) as ClockTime
  if (options.json) writeJson(io, shown)
  else io.stdout.write(`${shown.time}  ${distance(shown.offset_seconds)}\n`)
  return 0
}

/** How far from the machine's clock, in its two largest units. */
function distance(offsetSeconds: number): string {
  let rest = Math.round(Math.abs(offsetSeconds))
  if (rest === 0) return "the machine's time"
  const parts = UNITS.flatMap(([size, unit]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? [] : [`${count} ${unit}`]
  })
  return `${parts.slice(0, 2).join(' ')} ${offsetSeconds > 0 ? 'ahead of' : 'behind'} the machine`
}

const UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const
