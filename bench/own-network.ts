// A network of the measurement's own, where it may have one: connections that others have just closed (TIME_WAIT) take ports and
// time from whoever lets the system choose its ports, and so from some proxies and not from others.

import { spawnSync } from 'node:child_process'

const MARK = 'EGRESSLAB_BENCH_NETWORK'
const SET_UP =
  'ip link set lo up && sysctl -qw net.ipv4.tcp_max_tw_buckets=1000 "net.ipv4.ip_local_port_range=10240 65535"'

/** Runs this very command again inside, as root on Linux, and ends with its exit code. Elsewhere, and inside, it does nothing; it says so
 *  where the measurement then shares the machine's network. */
export function enterOwnNetwork(): void {
  if (process.env[MARK] !== undefined) return
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    process.stderr.write('not root on Linux: measured on the network of this machine, which favours our own ports\n')
    return
  }
  const again = [
    '--net',
    'sh',
    '-c',
    `${SET_UP} && exec "$@"`,
    'sh',
    process.execPath,
    ...process.execArgv,
    ...process.argv.slice(1),
  ]
  const { status, error } = spawnSync('unshare', again, { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } })
  if (error !== undefined) throw error
  process.exit(status ?? 1)
}
