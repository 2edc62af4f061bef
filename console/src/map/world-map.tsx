// The live map: three canvases (world, routes, comets) under the names of data centers and people, which are ordinary
// elements and can be reached by keyboard. Paints only when there is something new.

import type { GeoProjection } from 'd3-geo'
import type { JSX } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Colo, Position } from '../api/shapes.ts'
import { allRoutes, forgetRoutes, version } from '../live/session-store.ts'
import { clockOffset, onBeat } from '../live/traffic.ts'
import { repaint } from '../theme.ts'
import { toneOf } from '../ui/outcome.tsx'
import { type Atlas, loadAtlas } from './atlas.ts'
import { type Box, placeLabels, projectionFor } from './geometry.ts'
import { type Comet, paintComets, paintRoutes, paintWorld, projected, readPalette, type Scene } from './paint.ts'
import { type ColoIndex, FADE_MS, type Route, routeOf, stationsOf, visibleRoutes } from './routes.ts'

export interface Marked {
  readonly name: string
  readonly at: Position
}

export interface WorldMapProps {
  readonly colos: ColoIndex
  /** data centers that get a name of their own */
  readonly shown: readonly Colo[]
  readonly people: readonly Marked[]
  /** routes to draw instead of the live ones */
  readonly routes?: readonly Route[]
  readonly onColo?: (colo: Colo) => void
  readonly label: string
}

interface Size {
  readonly width: number
  readonly height: number
}

const MOST_COMETS = 40
const FADE_STEP_MS = 250

export function WorldMap({ colos, shown, people, routes, onColo, label }: WorldMapProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null)
  const [size, setSize] = useState<Size>({ width: 0, height: 0 })
  const atlas = useAtlas()
  useLayoutEffect(() => watchSize(frame.current, setSize), [])

  const places = useMemo(() => placesOf(shown, people), [shown, people])
  const projection = useMemo(
    () => (size.width === 0 ? undefined : projectionFor(size.width, size.height, places)),
    [size, places],
  )
  return (
    <div class="map" ref={frame} role="group" aria-label={label}>
      {projection !== undefined && atlas !== undefined && (
        <>
          <WorldLayer size={size} projection={projection} atlas={atlas} />
          <RoutesLayer size={size} projection={projection} colos={colos} fixed={routes} />
          {routes === undefined && <CometsLayer size={size} projection={projection} colos={colos} />}
          <Names size={size} projection={projection} shown={shown} people={people} onColo={onColo} />
        </>
      )}
    </div>
  )
}

function useAtlas(): Atlas | undefined {
  const [atlas, setAtlas] = useState<Atlas>()
  useEffect(() => {
    loadAtlas().then(setAtlas, () => undefined)
  }, [])
  return atlas
}

function watchSize(element: HTMLElement | null, tell: (size: Size) => void): (() => void) | undefined {
  if (element === null) return undefined
  const observer = new ResizeObserver(() => tell({ width: element.clientWidth, height: element.clientHeight }))
  observer.observe(element)
  tell({ width: element.clientWidth, height: element.clientHeight })
  return () => observer.disconnect()
}

function placesOf(shown: readonly Colo[], people: readonly Marked[]): Position[] {
  return [...shown.map(({ longitude, latitude }): Position => [longitude, latitude]), ...people.map(({ at }) => at)]
}

interface LayerProps {
  readonly size: Size
  readonly projection: GeoProjection
}

/** A canvas in device pixels, and a scene to paint on it; made anew with size and theme. */
function useScene({ size, projection }: LayerProps) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const painted = repaint.value
  const [scene, setScene] = useState<Scene>()
  useLayoutEffect(() => {
    const element = canvas.current
    const context = element?.getContext('2d')
    if (!element || !context || painted < 0) return
    const scale = Math.min(window.devicePixelRatio || 1, 2)
    element.width = size.width * scale
    element.height = size.height * scale
    context.setTransform(scale, 0, 0, scale, 0, 0)
    setScene({ context, projection, palette: readPalette(), ...size })
  }, [size, projection, painted])
  return { canvas, scene }
}

function WorldLayer({ atlas, ...props }: LayerProps & { readonly atlas: Atlas }): JSX.Element {
  const { canvas, scene } = useScene(props)
  useLayoutEffect(() => {
    if (scene !== undefined) paintWorld(scene, atlas)
  }, [scene, atlas])
  return <canvas ref={canvas} />
}

function RoutesLayer({
  colos,
  fixed,
  ...props
}: LayerProps & { readonly colos: ColoIndex; readonly fixed: readonly Route[] | undefined }): JSX.Element {
  const { canvas, scene } = useScene(props)
  const [step, setStep] = useState(0)
  const seen = version.value
  useLayoutEffect(() => {
    if (scene === undefined || seen < 0 || step < 0) return undefined
    const now = Date.now() + clockOffset.value
    if (fixed === undefined) forgetRoutes(now - FADE_MS)
    const routes = fixed ?? visibleRoutes(allRoutes().values(), now)
    paintRoutes(scene, routes, colos, now)
    if (fixed !== undefined || !routes.some(({ open }) => open === 0)) return undefined
    const timer = setTimeout(() => setStep((before) => before + 1), FADE_STEP_MS)
    return () => clearTimeout(timer)
  }, [scene, seen, step, colos, fixed])
  return <canvas ref={canvas} />
}

function CometsLayer({ colos, ...props }: LayerProps & { readonly colos: ColoIndex }): JSX.Element {
  const { canvas, scene } = useScene(props)
  useEffect(() => {
    if (scene === undefined || window.matchMedia('(prefers-reduced-motion: reduce)').matches) return undefined
    let comets: Comet[] = []
    let frame = 0
    let turn = 0
    const paint = (now: number) => {
      // every second frame: comets look as smooth, and the page has time for people
      turn++
      if (turn % 2 === 0) comets = paintComets(scene, comets, now)
      frame = comets.length > 0 ? requestAnimationFrame(paint) : 0
    }
    const stop = onBeat((opened, finished) => {
      // what opened and ended within one beat is told as finished only
      const fresh = [...opened, ...finished.filter(({ ms }) => ms < 400)].slice(0, MOST_COMETS - comets.length)
      const startedAt = performance.now()
      for (const row of fresh) {
        const points = projected(scene.projection, stationsOf(routeOf(row), colos))
        if (points.length > 1) comets.push({ points, tone: toneOf(row), startedAt })
      }
      if (frame === 0 && comets.length > 0) frame = requestAnimationFrame(paint)
    })
    return () => {
      stop()
      cancelAnimationFrame(frame)
    }
  }, [scene, colos])
  return <canvas ref={canvas} />
}

interface NamesProps extends LayerProps {
  readonly shown: readonly Colo[]
  readonly people: readonly Marked[]
  readonly onColo: ((colo: Colo) => void) | undefined
}

function Names({ size, projection, shown, people, onColo }: NamesProps): JSX.Element {
  const boxes = useMemo(() => {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
    const colos = shown.map(({ code, longitude, latitude }) => ({
      id: `colo ${code}`,
      at: projection([longitude, latitude]) ?? ([-100, -100] as const),
      width: 3.4 * rem,
      height: 1.5 * rem,
    }))
    const names = people.map(({ name, at: [longitude, latitude] }) => ({
      id: `person ${name}`,
      at: projection([longitude, latitude]) ?? ([-100, -100] as const),
      width: (name.length * 0.46 + 0.6) * rem,
      height: 1.1 * rem,
      optional: true,
    }))
    return placeLabels([...colos, ...names], [size.width, size.height])
  }, [shown, people, projection, size])
  return (
    <div class="map-names">
      {shown.map((colo) => (
        <ColoName
          key={colo.code}
          colo={colo}
          at={projection([colo.longitude, colo.latitude])}
          box={boxes.get(`colo ${colo.code}`)}
          onColo={onColo}
        />
      ))}
      {people.map(({ name }) => (
        <span key={name} class="map-person" style={placeOf(boxes.get(`person ${name}`))} aria-hidden="true">
          {name}
        </span>
      ))}
    </div>
  )
}

interface ColoNameProps {
  readonly colo: Colo
  readonly at: readonly [number, number] | null
  readonly box: Box | undefined
  readonly onColo: ((colo: Colo) => void) | undefined
}

function ColoName({ colo, at, box, onColo }: ColoNameProps): JSX.Element {
  const words = `${colo.code} ${colo.city} is ${colo.up ? 'up' : 'down'}`
  return (
    <>
      {at !== null && (
        <span
          class={`map-colo-dot ${colo.up ? '' : 'down'}`}
          style={{ left: `${at[0]}px`, top: `${at[1]}px` }}
          aria-hidden="true"
        />
      )}
      {onColo === undefined ? (
        <span class={`map-colo ${colo.up ? '' : 'down'}`} style={placeOf(box)}>
          {colo.code}
        </span>
      ) : (
        <button
          type="button"
          class={`map-colo ${colo.up ? '' : 'down'}`}
          style={placeOf(box)}
          aria-pressed={!colo.up}
          aria-label={`${words}: ${colo.up ? 'take it down' : 'bring it back up'}`}
          title={`${words}. Click to ${colo.up ? 'take it down' : 'bring it back up'}`}
          onClick={() => onColo(colo)}
        >
          {colo.code}
        </button>
      )}
    </>
  )
}

function placeOf(box: Box | undefined): Readonly<Record<string, string>> {
  return box === undefined ? { display: 'none' } : { left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px` }
}
