// An authority as a message may show it: bounded, and without user information, which may hold a password (HH-03).

const MAX_SHOWN = 120

/** `user:password@host:80` as `***@host:80`; anything else as it is, cut to a length. */
export function showAuthority(authority: string): string {
  const at = authority.lastIndexOf('@')
  return (at < 0 ? authority : `***${authority.slice(at)}`).slice(0, MAX_SHOWN)
}
