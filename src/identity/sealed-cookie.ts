// Sealed values that travel through a browser: only this process can read, change or create one (AES-256-GCM), and one
// sealed for one purpose is invalid for another. Does not limit how long a value is valid.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MOST_CHARACTERS = 8192

export interface Sealer {
  /** as base64url */
  seal(purpose: string, note: Readonly<Record<string, string | number>>): string
  /** The value; undefined for anything not sealed for this purpose with this key. */
  open(purpose: string, text: string): Readonly<Record<string, unknown>> | undefined
}

/** A sealer with this key of {@link KEY_BYTES} bytes. */
export function createSealer(key: Uint8Array): Sealer {
  return {
    seal(purpose, note) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose))
      const sealed = Buffer.concat([cipher.update(JSON.stringify(note), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')
    },
    open(purpose, text) {
      if (text.length > MOST_CHARACTERS || !/^[\w-]+$/.test(text)) return undefined
      const bytes = Buffer.from(text, 'base64url')
      if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined
      const [nonce, tag, sealed] = [bytes.subarray(0, 12), bytes.subarray(12, 28), bytes.subarray(28)]
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(purpose)).setAuthTag(tag)
      try {
        const note: unknown = JSON.parse(Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8'))
        return Object(note)
      } catch {
        return undefined
      }
    },
  }
}
