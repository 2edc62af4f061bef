// Whether a data center is up, and the switch that changes it.

import type { JSX } from 'preact'
import { ask } from '../api/request.ts'
import type { Colo } from '../api/shapes.ts'
import { ForRole } from '../who.tsx'

/** Takes the data center down, or brings it back up. Throws ApiFailure. */
export function switchColo({ code, up }: Colo): Promise<unknown> {
  return ask('PUT', `/lab/v1/colos/${code}`, { body: { up: !up } })
}

export function ColoSwitch({ colo, onToggle }: { readonly colo: Colo; readonly onToggle: () => void }): JSX.Element {
  return (
    <ForRole needs="operator">
      <button
        type="button"
        role="switch"
        class="switch"
        aria-checked={colo.up}
        aria-label={`${colo.code} ${colo.city}`}
        onClick={onToggle}
      >
        {colo.up ? 'up' : 'down'}
      </button>
    </ForRole>
  )
}
