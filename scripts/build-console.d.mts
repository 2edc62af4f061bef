// What scripts/build-console.mjs offers, for code that is type-checked.

/** Builds the console where its sources changed. `node`: a Node that is new enough. `onBuild` hears that it begins. Answers what went wrong, or undefined. */
export function buildConsole(node: string, onBuild?: () => void): string | undefined
