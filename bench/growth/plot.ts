// A curve with logarithmic axes as SVG: text and lines that look right on white and on dark pages.

export interface Curve {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Plot {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly curves: readonly Curve[]
}

const WIDTH = 640
const HEIGHT = 360
const LEFT = 70
const RIGHT = 20
const TOP = 40
const BOTTOM = 50
const COLOURS = ['#2f6fde', '#d9622b', '#2a9d60', '#9a52c7']
const GREY = '#808080'

/** The plot as an SVG document. Points without a positive value are left out. */
export function drawPlot({ title, x, y, curves }: Plot): string {
  const points = curves.flatMap((curve) => curve.points).filter(isDrawable)
  const across = axisOf(points.map(([value]) => value))
  const up = axisOf(points.map(([, value]) => value))
  const placeX = (value: number) => LEFT + across.share(value) * (WIDTH - LEFT - RIGHT)
  const placeY = (value: number) => HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM)
  const body = [
    text(LEFT, 22, title, 'start', 15),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x),
    `<g transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">${text(0, 0, y)}</g>`,
    ...across.marks.flatMap((mark) => [
      line(placeX(mark), TOP, placeX(mark), HEIGHT - BOTTOM, 0.25),
      text(placeX(mark), HEIGHT - BOTTOM + 18, short(mark)),
    ]),
    ...up.marks.flatMap((mark) => [
      line(LEFT, placeY(mark), WIDTH - RIGHT, placeY(mark), 0.25),
      text(LEFT - 8, placeY(mark) + 4, short(mark), 'end'),
    ]),
    ...curves.map((curve, number) => drawCurve(curve, number, placeX, placeY)),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif">\n${body.join('\n')}\n</svg>\n`
}

function isDrawable([x, y]: readonly [number, number]): boolean {
  return x > 0 && y > 0
}

function drawCurve(
  { name, points }: Curve,
  number: number,
  placeX: (value: number) => number,
  placeY: (value: number) => number,
): string {
  const colour = COLOURS[number % COLOURS.length] ?? GREY
  const places = points.filter(isDrawable).map(([x, y]) => [placeX(x), placeY(y)] as const)
  const path = places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ')
  const dots = places.map(([x, y]) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3" fill="${colour}"/>`)
  const legend = `<rect x="${LEFT + 12}" y="${TOP + 6 + number * 18}" width="10" height="10" fill="${colour}"/>${text(LEFT + 28, TOP + 15 + number * 18, name, 'start')}`
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}${legend}`
}

interface Axis {
  readonly marks: readonly number[]
  /** 0 at the low end, 1 at the high one */
  share(value: number): number
}

/** Powers of ten around the values; of one decade the doubled and fivefold as well. */
function axisOf(values: readonly number[]): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const decades = Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at))
  const marks = high - low > 2 ? decades : decades.flatMap((one) => [one, 2 * one, 5 * one])
  return {
    marks: marks.filter((mark) => mark <= 10 ** high),
    share: (value) => (Math.log10(value) - low) / (high - low),
  }
}

function line(x1: number, y1: number, x2: number, y2: number, opacity: number): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${GREY}" stroke-opacity="${opacity}"/>`
}

function text(x: number, y: number, said: string, anchor = 'middle', size = 12): string {
  const safe = said.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}" fill="${GREY}">${safe}</text>`
}

/** `20`, `5k`, `1M`. */
function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)))
}
