// Loopback addresses and ports for tests, so that test files running beside each other never meet, nor runs of the tests.

const WORKER = Number(process.env.VITEST_POOL_ID ?? 0) % 2
const BLOCK = Number(process.env.EGRESSLAB_TEST_BLOCK ?? 0)
/** Below what systems give to those who ask for any port, and below what the lab leases. */
const FIRST_PORT = 12_000

/** A /16 that no other test file running at this moment has: each runs in a worker with a number of its own, in a run with a
 *  block of its own. `lab` (0…9) tells the labs of one file apart. */
export function ownNetwork(lab = 0): string {
  return `127.${100 + BLOCK * 20 + WORKER * 10 + lab}.0.0/16`
}

/** An address of this test file's own, with this last octet, on which no lab stands in for anything. */
export function loopback(octet: number): string {
  return ownNetwork(9).replace('0.0/16', `250.${octet}`)
}

/** A port (`number` is 0…99) that nobody else takes, on any address: for what listens on it later, again or never. */
export function ownPort(number: number): number {
  return FIRST_PORT + BLOCK * 200 + WORKER * 100 + number
}
