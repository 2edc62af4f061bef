// The data centers the lab knows, from colos.json, in its order.

import table from './colos.json' with { type: 'json' }
import type { Colo } from './place.ts'

/** Every colo by its code. */
export const COLOS: ReadonlyMap<string, Colo> = new Map(
  table.map(({ code, city, country, lat, lon }) => {
    return [code, Object.freeze({ code, city, country, latitude: lat, longitude: lon })] as const
  }),
)
