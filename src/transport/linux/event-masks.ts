// What streams ask epoll for, and what its answers mean to them.

import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from './system-calls.ts'

/** The connection is broken, or both sides have ended. */
export const GONE = EPOLLERR | EPOLLHUP
/** A read may end before all that is there: in front of FIN or an error, which raise no event of their own where they came with data,
 *  or in front of an urgent byte (tcp(7), SIOCATMARK). */
export const ENDING = EPOLLRDHUP | EPOLLPRI | GONE
export const READABLE = EPOLLIN | ENDING
export const WRITABLE = EPOLLOUT | GONE

/** Accepted connections are not asked whether they can be written to until a write says so. */
export const ACCEPTED_MASK = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET
export const DIALLED_MASK = ACCEPTED_MASK | EPOLLOUT
