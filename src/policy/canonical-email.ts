// The one spelling of a mail address that identities are known by. Whatever reads an address from outside (credentials, tokens,
// certificates, configuration, the API, the command line, recorded sessions) canonicalises it here, once; everything behind compares as is.

/** Lower case, Unicode form C. The local part too: RFC 5321 section 2.4 lets a host tell letter cases apart, and identity providers do not. */
export function canonicalEmail(text: string): string {
  return text.normalize('NFC').toLowerCase()
}
