// How a program or a browser gets its traffic to the lab: addresses, lines to copy, the PAC file, the certificate.

import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { ListedListener, Person } from '../api/shapes.ts'
import { urlOf } from '../base.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { sentence } from '../ui/format.ts'
import { Waiting } from '../ui/notice.tsx'
import { QrCode } from '../ui/qr-code.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField } from '../ui/select.tsx'

const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/
const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])
const AUTHENTICATION_WORDS: Readonly<Record<ListedListener['authentication'], string>> = {
  required: 'asks for a user',
  optional: 'takes a user, but needs none',
  anonymous: 'takes everybody as nobody',
}

export function ConnectView(): JSX.Element {
  const listeners = useResource<ListedListener[]>('/lab/v1/listeners')
  const people = useResource<Person[]>('/lab/v1/users').value
  const [chosen, setChosen] = useState('')
  const [user, setUser] = useState<string>()
  const all = listeners.value ?? []
  const forBrowsers = all.find(({ sign_in_page: isPage }) => isPage) ?? all[0]
  const listener = all.find(({ name }) => name === chosen) ?? all[0]
  const who = user ?? people?.[0]?.email ?? ''
  return (
    <>
      <div class="view-head">
        <h1>Connect</h1>
        <p class="muted">Lines to copy for the traffic of one person.</p>
      </div>
      {listeners.value === undefined && <Waiting for={listeners} what="listeners" />}
      {listener !== undefined && (
        <>
          <section class="card card-body stack" aria-label="Who and where">
            <div class="fields">
              <SelectField
                label="As"
                value={who}
                options={[...(people ?? []).map(({ email }) => [email, email] as const), ['', 'no user']]}
                onChange={setUser}
              />
              <SelectField
                label="Listener"
                value={listener.name}
                options={all.map((each) => [each.name, `${each.name}, ${addressOf(each)}`] as const)}
                onChange={setChosen}
              />
            </div>
            <p class="muted">{describe(listener)}</p>
          </section>
          <Lines listener={listener} user={who} />
          <h2>For browsers and phones</h2>
          <ForBrowsers listener={chosen === '' ? forBrowsers : listener} />
        </>
      )}
    </>
  )
}

function Lines({ listener, user }: { readonly listener: ListedListener; readonly user: string }): JSX.Element {
  const isNobody = isAlwaysNobody(listener, user)
  const login = isNobody ? '' : `${encodeURIComponent(user)}:PASSWORD@`
  const proxy = `${schemeOf(listener)}://${login}${addressOf(listener)}`
  const env = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()])
  const lines = [...env.map((name) => `export ${name}='${proxy}'`), "export NO_PROXY='localhost,127.0.0.1,::1'"].join(
    '\n',
  )
  return (
    <div class="connect-grid">
      <Line title="One request" text={curlLine(listener, user)} words="Copy curl line">
        Answers the address that sites see.{' '}
        {!isNobody && 'PASSWORD is this person’s proxy password; the lab does not show it.'}
      </Line>
      <Line title="A shell and what runs in it" text={lines} words="Copy environment">
        Programs differ in which of these they read.
      </Line>
    </div>
  )
}

/** Asks an echo site through this listener as this person; `PASSWORD` stands for theirs. */
export function curlLine(listener: ListedListener, user: string): string {
  const scheme = schemeOf(listener)
  const trust = scheme === 'https' ? ' --proxy-cacert egresslab-ca.pem' : ''
  const login = isAlwaysNobody(listener, user) ? '' : ` -U '${user}:PASSWORD'`
  return `curl -x ${scheme}://${addressOf(listener)}${trust}${login} http://ipv4.icanhazip.com/`
}

function schemeOf({ tls }: ListedListener): 'http' | 'https' {
  return tls === 'required' ? 'https' : 'http'
}

/** Where no user is given, or none is asked for. */
function isAlwaysNobody({ fixed_user: fixed, authentication }: ListedListener, user: string): boolean {
  return user === '' || fixed !== null || authentication === 'anonymous'
}

/** A listener with a sign-in page where there is one: its people sign in once, and are not asked by the browser. */
function ForBrowsers({ listener }: { readonly listener: ListedListener | undefined }): JSX.Element {
  const pac = new URL(urlOf('/proxy.pac'), window.location.href)
  if (listener !== undefined) pac.searchParams.set('listener', listener.name)
  const isLocal = LOOPBACK.test(window.location.hostname)
  return (
    <div class="connect-grid">
      <Line title="Proxy configuration" text={pac.href} words="Copy PAC address">
        Give it to the browser as its automatic proxy configuration.{' '}
        {listener?.sign_in_page === true ? 'People sign in on a page.' : 'The browser asks for user and password.'}{' '}
        People choose their virtual network at <a href="/me">/me</a>.
      </Line>
      <Line title="Certificate" text="npx egresslab ca > egresslab-ca.pem" words="Copy command">
        <a href="/ca.pem" download="egresslab-ca.pem">
          Download the certificate
        </a>{' '}
        of the lab’s own authority, for clients that speak TLS to the proxy or to the test origins (
        <code>curl --cacert egresslab-ca.pem</code>). Whoever trusts it trusts this lab: use it for tests only.
      </Line>
      <section class="card card-body stack tight" aria-label="Phone">
        <h2>On a phone</h2>
        <div class="row qr-row">
          <QrCode text={pac.href} label="QR code of the PAC address" />
          <p class="small muted">
            The address of the proxy configuration, to enter in the phone’s network settings.
            {isLocal &&
              ' This page was opened by an address of this machine alone: open it by the machine’s name on the network first, and let the lab listen there.'}
          </p>
        </div>
      </section>
    </div>
  )
}

interface LineProps {
  readonly title: string
  readonly text: string
  readonly words: string
  readonly children: ComponentChildren
}

function Line({ title, text, words, children }: LineProps): JSX.Element {
  return (
    <section class="card card-body stack tight" aria-label={title}>
      <div class="row spread">
        <h2>{title}</h2>
        <CopyButton text={text}>{words}</CopyButton>
      </div>
      <pre class={text.includes('\n') ? 'block lines' : 'block'}>{text}</pre>
      <p class="small muted">{children}</p>
    </section>
  )
}

/** As clients on the machine that shows this page reach it. */
function addressOf({ host, port }: ListedListener): string {
  const reached = EVERY_ADDRESS.has(host) ? window.location.hostname : host
  return `${reached.includes(':') && !reached.startsWith('[') ? `[${reached}]` : reached}:${port}`
}

function describe({ authentication, fixed_user: user, virtual_network: network, tls }: ListedListener): string {
  const parts = [
    'HTTP, CONNECT, SOCKS4 and SOCKS5 on one port',
    user === null ? AUTHENTICATION_WORDS[authentication] : `takes every client as ${user}`,
    ...(network === null ? [] : [`puts them on ${network}`]),
    tls === 'required' ? 'TLS only' : tls === 'optional' ? 'with TLS or without' : 'without TLS',
  ]
  return sentence(parts.join('; '))
}
