// Names of lists: `$` in an expression, ids in the API. One canonical key per list, whatever the spelling.

/** The key a list is looked up by: lower case, and for a UUID without its hyphens. */
export function canonicalListName(name: string): string {
  const lower = name.toLowerCase()
  const bare = lower.replaceAll('-', '')
  return /^[0-9a-f]{32}$/.test(bare) ? bare : lower
}
