// How long tests wait for what must come. What they promise is an order and a result, never a speed, so these limits only end
// a test that would otherwise hang: they hold on a machine whose cores are busy with something else.

/** for one awaited event: an answer, a record, a line of a process */
export const PATIENCE_MS = 120_000

/** for a whole test, and for what prepares it or clears up behind it; several waits fit in */
export const TEST_LIMIT_MS = 300_000

/** for what is read anew until it holds: `vi.waitFor(read, PATIENT)` */
export const PATIENT = { timeout: PATIENCE_MS }
