// The image of deploy/Dockerfile, built by buildah from the packed package on a base image made of this machine's Node, and run with
// a read-only root file system as its user, in namespaces of its own. No registry and no network are asked.

import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packCheckout } from '../../scripts/install-packed.ts'
import { ROOT } from '../../scripts/source-files.ts'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'

/** What the Dockerfile's own commands and the health check run. */
const PROGRAMS = ['sh', 'env', 'mkdir', 'chown', 'rm']

const isRoot = process.getuid?.() === 0
const tools = { buildah: 'buildah', unshare: 'util-linux', ip: 'iproute2' }
const hasTools = () =>
  isRoot && Object.entries(tools).every(([program, from]) => installed(program, from) !== undefined)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-image-'))
})
afterAll(() => {
  if (existsSync(join(folder, 'storage'))) execFileSync('buildah', [...storage(), 'rm', '--all'], { stdio: 'ignore' })
  rmSync(folder, { recursive: true, force: true })
})

const storage = () => ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs']

function buildah(...args: readonly string[]): string {
  return execFileSync('buildah', [...storage(), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
}

/** Node, npm and the few programs above with the libraries they are linked to. */
function makeBase(root: string): void {
  const put = (from: string, to: string) => {
    mkdirSync(join(root, dirname(to)), { recursive: true })
    copyFileSync(realpathSync(from), join(root, to))
  }
  const programs = [
    [process.execPath, '/usr/local/bin/node'],
    ...PROGRAMS.map((name) => [
      execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(),
      `/usr/bin/${name}`,
    ]),
  ] as [string, string][]
  for (const [from, to] of programs) {
    put(from, to)
    const linked = execFileSync('ldd', [from], { encoding: 'utf8' })
    for (const [, library = ''] of linked.matchAll(/(\/\S+) \(0x/g)) put(library, library)
  }
  symlinkSync('usr/bin', join(root, 'bin'))
  const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())
  cpSync(join(dirname(npm), '..'), join(root, 'usr/local/lib/npm'), { recursive: true })
  symlinkSync('../lib/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  for (const name of ['tmp', 'etc', 'proc', 'dev', 'var/lib']) mkdirSync(join(root, name), { recursive: true })
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n')
  writeFileSync(join(root, 'Containerfile'), 'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin\n')
}

test('the image is built, runs read-only as its user, is healthy, decides, and stops in order', () => {
  if (!hasTools()) {
    process.stderr.write('SKIPPED: the image is built and run as root, with buildah\n')
    if (process.env.CI === 'true') throw new Error('continuous integration must build the image')
    return
  }
  const base = join(folder, 'base')
  makeBase(base)
  buildah('build', '--isolation', 'chroot', '-t', 'base', base)
  const context = join(folder, 'context')
  mkdirSync(join(context, 'deploy'), { recursive: true })
  mkdirSync(join(folder, 'packed'))
  const tarball = packCheckout(join(folder, 'packed'))
  copyFileSync(tarball, join(context, basename(tarball)))
  for (const name of ['deploy/lab.yaml', 'deploy/Dockerfile', '.dockerignore'])
    copyFileSync(join(ROOT, name), join(context, name))
  const given = ['--build-arg', 'NODE_IMAGE=localhost/base', '--build-arg', 'NPM_FLAGS=--offline --omit=optional']
  buildah(
    'build',
    '--isolation',
    'chroot',
    '--pull=never',
    ...given,
    '-f',
    join(context, 'deploy/Dockerfile'),
    '-t',
    'lab',
    context,
  )
  const { OCIv1 } = JSON.parse(buildah('inspect', '--type', 'image', 'lab'))
  const { User, Entrypoint, Cmd, WorkingDir, Env } = OCIv1.config
  expect({ User, Entrypoint, Cmd }).toEqual({
    User: '10001:10001',
    Entrypoint: ['egresslab'],
    Cmd: ['start', '--state', '/var/lib/egresslab'],
  })
  const health = /CMD \["node", "-e", "(.*)"\]/.exec(readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8'))?.[1]
  const root = buildah('mount', buildah('from', '--pull=never', 'localhost/lab'))
  writeFileSync(join(folder, 'health.js'), health ?? '')
  const script = `set -e
    mount --bind '${root}' '${root}'
    mount -t proc proc '${root}/proc'
    mount --rbind /dev '${root}/dev'
    mkdir '${folder}/state'; chown 10001:10001 '${folder}/state'
    mount --bind '${folder}/state' '${root}/var/lib/egresslab'
    mount -o remount,bind,ro '${root}'
    ip link set lo up
    touch '${root}/written' 2>/dev/null && exit 7
    mount -t proc proc /proc
    enter="unshare --root=${root} --wd=${WorkingDir} --setuid=10001 --setgid=10001 env -i ${Env.join(' ')} EGRESSLAB_API_TOKEN=0123456789abcdef0123"
    $enter egresslab ${Cmd.join(' ')} >'${folder}/out' 2>&1 & lab=$!
    until grep -q 'explains why' '${folder}/out'; do kill -0 $lab || exit 9; done
    $enter node -e "$(cat '${folder}/health.js')" && echo healthy
    curl -q -sS --fail -x http://127.0.0.1:8080 -U bob@example.com:lab-bob http://ipv4.icanhazip.com/
    curl -q -sS -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8090/metrics
    grep -E '^Uid|^CapEff' /proc/$lab/status
    kill -TERM $lab; wait $lab || echo "ended with $?"
    $enter node -e "$(cat '${folder}/health.js')" || echo unhealthy`
  const args = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', 'sh', '-c', script]
  const printed = execFileSync('unshare', args, { encoding: 'utf8', timeout: PATIENCE_MS })
  expect(printed.replaceAll(/[ \t]+/g, ' ').split('\n')).toEqual([
    'healthy',
    '203.0.113.30',
    '401',
    'Uid: 10001 10001 10001 10001',
    'CapEff: 0000000000000000',
    'ended with 143',
    'unhealthy',
    '',
  ])
})
