// What streams ask epoll for, and what its answers mean to them.

import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from './system-calls.ts'

/** The connection is broken, or both sides have ended. */
export const GONE = EPOLLERR | EPOLLHUP
/** FIN or an error is behind what can be read. A FIN that comes with data raises no event of its own. */
export const ENDING = EPOLLRDHUP | GONE
export const READABLE = EPOLLIN | ENDING
export const WRITABLE = EPOLLOUT | GONE

/** Accepted connections are not asked whether they can be written to until a write says so. */
export const ACCEPTED_MASK = EPOLLIN | EPOLLRDHUP | EPOLLET
export const DIALLED_MASK = ACCEPTED_MASK | EPOLLOUT
