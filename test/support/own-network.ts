// Loopback networks for the labs of tests, so that test files running beside each other never meet.

/** A /16 that no other test file running at this moment has: each runs in a worker with a number of its own. `lab` (0…9)
 *  tells the labs of one file apart. */
export function ownNetwork(lab = 0): string {
  const worker = Number(process.env.VITEST_POOL_ID ?? 0) % 8
  return `127.${100 + worker * 10 + lab}.0.0/16`
}
