// The world's land and borders (Natural Earth, public domain, by way of world-atlas), fetched once from the lab itself.

import type { MultiLineString, MultiPolygon } from 'geojson'
import { feature, mesh } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import atlasUrl from 'world-atlas/countries-110m.json?url'

export interface Atlas {
  readonly land: MultiPolygon
  readonly borders: MultiLineString
}

let atlas: Promise<Atlas> | undefined

export function loadAtlas(): Promise<Atlas> {
  atlas ??= fetchAtlas()
  return atlas
}

async function fetchAtlas(): Promise<Atlas> {
  const response = await fetch(atlasUrl)
  const topology = (await response.json()) as Topology<{ land: GeometryCollection; countries: GeometryCollection }>
  const { land, countries } = topology.objects
  const polygons = feature(topology, land).features.flatMap(({ geometry }) =>
    geometry.type === 'MultiPolygon' ? geometry.coordinates : geometry.type === 'Polygon' ? [geometry.coordinates] : [],
  )
  return {
    land: { type: 'MultiPolygon', coordinates: polygons },
    borders: mesh(topology, countries, (a, b) => a !== b),
  }
}
