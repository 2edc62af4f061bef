// Which turn of the event loop this is, for shares of a turn. Costs one immediate per turn in which somebody asks.

let turn = 0
let isCounting = false

/** A number that is another one in each turn of the event loop. */
export function currentTurn(): number {
  if (!isCounting) {
    isCounting = true
    setImmediate(next)
  }
  return turn
}

function next(): void {
  turn++
  isCounting = false
}
