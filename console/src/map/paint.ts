// Painting on the map's canvases: the world once, routes a few times a second, comets while something is on its way.

import { type GeoProjection, geoPath } from 'd3-geo'
import type { Position } from '../api/shapes.ts'
import type { Tone } from '../ui/outcome.tsx'
import type { Atlas } from './atlas.ts'
import { along, bend, type Point } from './geometry.ts'
import { type ColoIndex, FADE_MS, type Route, stationsOf } from './routes.ts'

export interface Palette {
  readonly sea: string
  readonly land: string
  readonly border: string
  readonly text: string
  readonly muted: string
  readonly surface: string
  readonly tones: Readonly<Record<Tone, string>>
}

/** The colours in force on the page. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const read = (name: string) => style.getPropertyValue(`--${name}`).trim()
  const bad = read('bad')
  return {
    sea: read('sea'),
    land: read('land'),
    border: read('border'),
    text: read('text'),
    muted: read('muted'),
    surface: read('surface'),
    tones: {
      dedicated: read('dedicated'),
      'dedicated-fallback': read('fallback'),
      balanced: read('balanced'),
      default: read('default'),
      exempt: read('exempt'),
      unroutable: bad,
      failed: bad,
    },
  }
}

/** Colour is never alone: each outcome has its own stroke too. */
const DASHES: Readonly<Record<Tone, readonly number[]>> = {
  dedicated: [],
  'dedicated-fallback': [10, 4],
  balanced: [],
  default: [2, 4],
  exempt: [8, 3, 2, 3],
  unroutable: [3, 5],
  failed: [3, 5],
}

export interface Scene {
  readonly context: CanvasRenderingContext2D
  readonly projection: GeoProjection
  readonly palette: Palette
  readonly width: number
  readonly height: number
}

export function paintWorld({ context, projection, palette, width, height }: Scene, atlas: Atlas): void {
  const path = geoPath(projection, context)
  context.fillStyle = palette.sea
  context.fillRect(0, 0, width, height)
  context.beginPath()
  path(atlas.land)
  context.fillStyle = palette.land
  context.fill()
  context.beginPath()
  path(atlas.borders)
  context.strokeStyle = palette.border
  context.lineWidth = 0.7
  context.stroke()
}

/** `now`: lab time, for fading what has ended. */
export function paintRoutes(scene: Scene, routes: readonly Route[], colos: ColoIndex, now: number): void {
  const { context, width, height } = scene
  context.clearRect(0, 0, width, height)
  context.lineCap = 'round'
  for (const route of routes) {
    const fade = route.open > 0 ? 1 : 1 - (now - route.endedAt) / FADE_MS
    if (fade <= 0) continue
    context.globalAlpha = route.open > 0 ? 0.9 : 0.15 + 0.55 * fade
    paintRoute(scene, route, colos)
  }
  context.globalAlpha = 1
  for (const route of routes) paintEnds(scene, route, colos)
}

function paintRoute({ context, projection, palette }: Scene, route: Route, colos: ColoIndex): void {
  const points = projected(projection, stationsOf(route, colos))
  context.strokeStyle = palette.tones[route.tone]
  context.lineWidth = Math.min(1.4 + Math.log2(1 + route.open) * 0.5, 4.5)
  context.setLineDash([...DASHES[route.tone]])
  for (let at = 1; at < points.length; at++) {
    const [from, to] = [points[at - 1], points[at]]
    if (from === undefined || to === undefined) continue
    const [cx, cy] = bend(from, to)
    context.beginPath()
    context.moveTo(from[0], from[1])
    context.quadraticCurveTo(cx, cy, to[0], to[1])
    context.stroke()
  }
  context.setLineDash([])
}

/** A thin line from where a route leaves to where the other end believes it does. */
function paintBelief({ context, projection, palette }: Scene, route: Route, physical: Position): void {
  const [from, to] = projected(projection, route.logical === null ? [] : [physical, route.logical])
  if (from === undefined || to === undefined) return
  context.strokeStyle = palette.tones[route.tone]
  context.lineWidth = 1.2
  context.setLineDash([2, 4])
  context.beginPath()
  context.moveTo(from[0], from[1])
  context.lineTo(to[0], to[1])
  context.stroke()
  context.setLineDash([])
}

/** Where the user is (filled dot), where it goes (diamond) or failed (cross), and where the other end believes it comes from (ring). */
function paintEnds(scene: Scene, route: Route, colos: ColoIndex): void {
  const { context, projection, palette } = scene
  const tone = palette.tones[route.tone]
  const physical = colos.get(route.physical)
  const from = route.from === null ? null : projection([route.from[0], route.from[1]])
  const to = route.to === null ? null : projection([route.to[0], route.to[1]])
  const elsewhere =
    route.logical !== null &&
    (physical === undefined ||
      Math.hypot(physical.longitude - route.logical[0], physical.latitude - route.logical[1]) > 1)
  if (route.logical !== null && elsewhere) {
    const seen = projection([route.logical[0], route.logical[1]])
    if (physical !== undefined) paintBelief(scene, route, [physical.longitude, physical.latitude])
    if (seen !== null) ring(context, seen, tone, palette.surface)
  }
  if (from !== null) dot(context, from, palette.text, palette.surface)
  const stopped = route.tone === 'failed' || route.tone === 'unroutable'
  const end = to ?? (stopped ? from : null)
  if (end !== null && stopped) cross(context, end, tone, palette.surface)
  else if (end !== null) diamond(context, end, tone, palette.surface)
}

function dot(context: CanvasRenderingContext2D, [x, y]: Point, fill: string, halo: string): void {
  context.beginPath()
  context.arc(x, y, 4, 0, Math.PI * 2)
  context.fillStyle = fill
  context.fill()
  context.lineWidth = 1.5
  context.strokeStyle = halo
  context.stroke()
}

function ring(context: CanvasRenderingContext2D, [x, y]: Point, tone: string, halo: string): void {
  context.beginPath()
  context.arc(x, y, 9, 0, Math.PI * 2)
  context.lineWidth = 4
  context.strokeStyle = halo
  context.stroke()
  context.lineWidth = 2
  context.setLineDash([3, 2.5])
  context.strokeStyle = tone
  context.stroke()
  context.setLineDash([])
}

/** Where a connection came to nothing. */
function cross(context: CanvasRenderingContext2D, [x, y]: Point, tone: string, halo: string): void {
  for (const [width, style] of [
    [5.5, halo],
    [2.5, tone],
  ] as const) {
    context.beginPath()
    context.moveTo(x - 5, y - 5)
    context.lineTo(x + 5, y + 5)
    context.moveTo(x + 5, y - 5)
    context.lineTo(x - 5, y + 5)
    context.lineWidth = width
    context.strokeStyle = style
    context.stroke()
  }
}

function diamond(context: CanvasRenderingContext2D, [x, y]: Point, tone: string, halo: string): void {
  context.beginPath()
  context.moveTo(x, y - 6)
  context.lineTo(x + 6, y)
  context.lineTo(x, y + 6)
  context.lineTo(x - 6, y)
  context.closePath()
  context.fillStyle = halo
  context.fill()
  context.lineWidth = 2
  context.strokeStyle = tone
  context.stroke()
}

/** A session on its way: a short bright piece that runs along its route. */
export interface Comet {
  readonly points: readonly Point[]
  readonly tone: Tone
  readonly startedAt: number
}

export const COMET_MS = 1100

/** Paints the comets; answers those still on their way. `now`: performance.now(). */
export function paintComets(scene: Scene, comets: readonly Comet[], now: number): Comet[] {
  const { context, palette, width, height } = scene
  context.clearRect(0, 0, width, height)
  const left = comets.filter(({ startedAt }) => now - startedAt < COMET_MS)
  for (const { points, tone, startedAt } of left) {
    const legs = points.length - 1
    const head = Math.max(0, Math.min((now - startedAt) / COMET_MS, 1)) * legs
    context.fillStyle = palette.tones[tone]
    for (let tail = 0; tail < 7; tail++) {
      const place = head - tail * 0.035 * legs
      if (place < 0) break
      const leg = Math.min(Math.floor(place), legs - 1)
      const [from, to] = [points[leg], points[leg + 1]]
      if (from === undefined || to === undefined) continue
      const [x, y] = along(from, to, place - leg)
      context.globalAlpha = 1 - tail / 7
      context.beginPath()
      context.arc(x, y, 4 - tail * 0.4, 0, Math.PI * 2)
      context.fill()
    }
  }
  context.globalAlpha = 1
  return left
}

export function projected(projection: GeoProjection, positions: readonly Position[]): Point[] {
  return positions.flatMap(([longitude, latitude]) => {
    const point = projection([longitude, latitude])
    return point === null ? [] : [point]
  })
}
