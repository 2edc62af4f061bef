// Loopback networks for the labs of tests, so that test files running beside each other never meet, nor runs of the tests.

/** A /16 that no other test file running at this moment has: each runs in a worker with a number of its own, in a run with a
 *  block of its own. `lab` (0…9) tells the labs of one file apart. */
export function ownNetwork(lab = 0): string {
  const worker = Number(process.env.VITEST_POOL_ID ?? 0) % 2
  const block = Number(process.env.EGRESSLAB_TEST_BLOCK ?? 0)
  return `127.${100 + block * 20 + worker * 10 + lab}.0.0/16`
}
