// Servers of other people's that say how they read a request: `<METHOD target length>` as the body of each answer.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PATIENCE_MS } from './patience.ts'

export interface HttpReader {
  readonly name: string
  readonly port: number
  stop(): Promise<void> | void
}

/** Node's own server. */
export async function nodeReader(): Promise<HttpReader> {
  const server = createServer((req, res) => {
    let length = 0
    req.on('data', (chunk: Buffer) => {
      length += chunk.length
    })
    req.on('end', () => res.end(`<${req.method} ${req.url} ${length}>`))
  })
  Object.assign(server, { httpAllowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    name: 'Node',
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const PYTHON = `
import http.server, sys
class Reader(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        length = 0
        if self.headers.get('Transfer-Encoding', '').lower() == 'chunked':
            while True:
                size = int(self.rfile.readline().strip(), 16)
                length += len(self.rfile.read(size)) if size else 0
                line = self.rfile.readline()
                if size == 0:
                    while line not in (b'\\r\\n', b'\\n', b''): line = self.rfile.readline()
                    break
        else:
            length = len(self.rfile.read(int(self.headers.get('Content-Length', 0))))
        text = ('<%s %s %d>' % (self.command, self.path, length)).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def __getattr__(self, name):
        if name.startswith('do_'): return self.answer
        raise AttributeError(name)
    def log_message(self, *rest): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Reader)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
`

/** Python's http.server. */
export async function pythonReader(): Promise<HttpReader> {
  const child = spawn('python3', ['-c', PYTHON], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    return { name: 'Python', port: Number(line), stop: () => kill(child) }
  }
  throw new Error('python3 ended before it listened')
}

/** nginx; it says `-` for the length of a chunked body. */
export async function nginxReader(path: string, port: number): Promise<HttpReader> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-nginx-'))
  const conf = `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events {}
http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s; client_max_body_size 0; lingering_timeout 1s;
  server { listen 127.0.0.1:${port}; location / { default_type text/plain;
    return 200 "<$request_method $request_uri $content_length>"; } } }
`
  writeFileSync(join(folder, 'nginx.conf'), conf)
  const child = spawn(path, ['-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'inherit'] })
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error('nginx ended before it listened')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    name: 'nginx',
    port,
    stop: async () => {
      await kill(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Everything a server answers to these bytes and FIN behind them, until it closes. */
export function replay(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let received = ''
    const done = () => {
      socket.destroy()
      resolve(received)
    }
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      received += text
    })
    socket.on('end', done)
    socket.on('error', done)
    socket.setTimeout(PATIENCE_MS, done)
    socket.end(Buffer.from(bytes, 'latin1'))
  })
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve()
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGKILL')
  return gone
}
