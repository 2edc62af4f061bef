// The canonical spelling of an email address. Whatever reads an address from outside (credentials, tokens,
// certificates, configuration, the API, the command line, recorded sessions) canonicalises it here once; all later code
// compares it as is.

/** Lower case, Unicode form C, the local part too: RFC 5321 section 2.4 lets a host distinguish letter case, but
 *  identity providers do not. */
export function canonicalEmail(text: string): string {
  return text.normalize('NFC').toLowerCase()
}
