// Where things are on the canvas: the projection, the bent lines between points, and labels that keep out of each other's way.

import { type GeoProjection, geoNaturalEarth1 } from 'd3-geo'
import type { Position } from '../api/shapes.ts'

export type Point = readonly [x: number, y: number]

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const WORLD: readonly Position[] = [
  [-168, 10],
  [178, 10],
  [20, 74],
  [20, -50],
]
/** degrees that are left around what matters */
const MARGIN = { longitude: 18, latitude: 14 }

/** Shows these places with some room around them; the whole world where there are none. */
export function projectionFor(width: number, height: number, places: readonly Position[]): GeoProjection {
  const corners = places.length < 2 ? WORLD : cornersOf(places)
  const projection = geoNaturalEarth1()
  const frame: [[number, number], [number, number]] = [
    [8, 8],
    [width - 8, height - 8],
  ]
  projection.fitExtent(frame, { type: 'MultiPoint', coordinates: corners.map(([x, y]) => [x, y]) })
  return projection.clipExtent([
    [0, 0],
    [width, height],
  ])
}

function cornersOf(places: readonly Position[]): Position[] {
  const longitudes = places.map(([longitude]) => longitude)
  const latitudes = places.map(([, latitude]) => latitude)
  const west = Math.max(-175, Math.min(...longitudes) - MARGIN.longitude)
  const east = Math.min(179, Math.max(...longitudes) + MARGIN.longitude)
  const south = Math.max(-56, Math.min(...latitudes) - MARGIN.latitude)
  const north = Math.min(78, Math.max(...latitudes) + MARGIN.latitude)
  const middle = (south + north) / 2
  return [
    [west, middle],
    [east, middle],
    [(west + east) / 2, north],
    [(west + east) / 2, south],
  ]
}

/** The control point of the bent line from a to b: upwards, the more the farther. */
export function bend([ax, ay]: Point, [bx, by]: Point): Point {
  const length = Math.hypot(bx - ax, by - ay)
  return [(ax + bx) / 2, (ay + by) / 2 - Math.min(length * 0.28, 110)]
}

/** A point of that line; `t` from 0 to 1. */
export function along([ax, ay]: Point, [bx, by]: Point, t: number): Point {
  const [cx, cy] = bend([ax, ay], [bx, by])
  const s = 1 - t
  return [s * s * ax + 2 * s * t * cx + t * t * bx, s * s * ay + 2 * s * t * cy + t * t * by]
}

export interface Labelled {
  readonly id: string
  readonly at: Point
  readonly width: number
  readonly height: number
  /** left out where no room is free */
  readonly optional?: boolean
}

const DIRECTIONS: readonly Point[] = [
  [1, 0],
  [-1, 0],
  [0, -1],
  [0, 1],
  [0.8, -0.8],
  [-0.8, -0.8],
  [0.8, 0.8],
  [-0.8, 0.8],
]
const NEAREST = 9
const DISTANCES = [NEAREST, 24, 42, 64]

/** A box per label, none over another, inside the frame where there is room; optional ones without room have none. Earlier ones
 *  choose first. */
export function placeLabels(labels: readonly Labelled[], frame: Point, taken: readonly Box[] = []): Map<string, Box> {
  const placed = new Map<string, Box>()
  const dots = labels.map(({ at: [x, y] }) => ({ x: x - 4, y: y - 4, width: 8, height: 8 }))
  const boxes: Box[] = [...dots, ...taken]
  for (const label of labels) {
    const box = firstFree(label, frame, boxes) ?? (label.optional === true ? undefined : boxAt(label, [1, 0], NEAREST))
    if (box === undefined) continue
    placed.set(label.id, box)
    boxes.push(box)
  }
  return placed
}

function firstFree(label: Labelled, frame: Point, boxes: readonly Box[]): Box | undefined {
  for (const distance of DISTANCES) {
    for (const direction of DIRECTIONS) {
      const box = boxAt(label, direction, distance)
      const inside = box.x >= 2 && box.y >= 2 && box.x + box.width <= frame[0] - 2 && box.y + box.height <= frame[1] - 2
      if (inside && !boxes.some((other) => overlap(box, other))) return box
    }
  }
  return undefined
}

function boxAt({ at: [x, y], width, height }: Labelled, [dx, dy]: Point, distance: number): Box {
  return {
    x: x + dx * (distance + width / 2) - width / 2,
    y: y + dy * (distance + height / 2) - height / 2,
    width,
    height,
  }
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}
