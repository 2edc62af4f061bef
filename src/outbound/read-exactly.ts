// Reads a message of known length from a socket and not a byte more: what comes behind it stays in the socket.

import type { Socket } from 'node:net'

/** The next so many bytes. Rejects with what the socket reports, or an Error when it ends before. Nobody else may be reading. */
export function readExactly(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void) => {
      socket.off('readable', look)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      socket.off('error', onError)
      how()
    }
    const onError = (error: Error) => settle(() => reject(error))
    const onEnd = () => settle(() => reject(new Error('it closed the connection in the middle of its answer')))
    const look = () => {
      const bytes: Buffer | null = socket.readableLength >= count ? socket.read(count) : socket.read(0)
      if (bytes !== null && bytes.length === count) settle(() => resolve(bytes))
    }
    socket.on('readable', look)
    socket.once('end', onEnd)
    socket.once('close', onEnd)
    socket.once('error', onError)
    look()
  })
}
