// The page at `/me`: people choose their virtual network with their own proxy credentials, which stay in the page's
// memory. Plain on purpose; it talks to `/lab/v1/me` and to nothing else.

import type { Answer } from '../answer.ts'
import type { Route } from '../route.ts'

export const ME_PAGE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/me',
    summary: 'a page where people choose their virtual network',
    access: 'open',
    handle: () => file('text/html; charset=utf-8', PAGE),
  },
  {
    method: 'GET',
    path: '/me/me.js',
    summary: "the page's script",
    access: 'open',
    handle: () => file('text/javascript; charset=utf-8', SCRIPT),
  },
]

function file(contentType: string, body: string): Answer {
  return { kind: 'text', status: 200, contentType, body }
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your virtual network</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; }
  label { display: block; margin: .75rem 0; }
  input[type=email], input[type=password] { font: inherit; width: 100%; box-sizing: border-box; padding: .4rem; }
  button { font: inherit; padding: .4rem 1rem; }
  fieldset { border: 1px solid; border-radius: .4rem; padding: .5rem 1rem; }
  [role=status] { min-height: 1.5rem; margin-top: 1rem; }
</style>
<script src="/me/me.js" defer></script>
</head>
<body>
<h1>Your virtual network</h1>
<p>It decides which address you leave from. Connections that are open keep theirs; new ones follow your choice.</p>
<form id="who">
  <label>Email <input type="email" name="email" autocomplete="username" required></label>
  <label>Proxy password <input type="password" name="password" autocomplete="current-password" required></label>
  <button>Show my choices</button>
</form>
<form id="choice" hidden>
  <fieldset><legend>Virtual network</legend><div id="networks"></div></fieldset>
</form>
<p role="status" id="status"></p>
</body>
</html>
`

const SCRIPT = `const who = document.querySelector('#who')
const choice = document.querySelector('#choice')
const networks = document.querySelector('#networks')
const status = document.querySelector('#status')
let authorization = ''

async function ask(method, path, body) {
  const headers = { authorization, 'content-type': 'application/json' }
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: 'omit' })
  const answer = await response.json()
  if (!answer.success) throw new Error(response.status === 401 ? 'Email or password is not right.' : answer.errors[0].message)
  return answer.result
}

function show({ virtual_network: current, virtual_networks: all }) {
  choice.hidden = false
  networks.replaceChildren(...all.map((network) => {
    const label = document.createElement('label')
    const radio = Object.assign(document.createElement('input'), { type: 'radio', name: 'network', value: network.id })
    radio.checked = network.id === current.id
    label.append(radio, ' ', network.name, network.is_default ? ' (default)' : '')
    return label
  }))
  status.textContent = 'You are on ' + current.name + '.'
}

function attempt(action) {
  action().then(show, (error) => { status.textContent = error.message })
}

who.addEventListener('submit', (event) => {
  event.preventDefault()
  const { email, password } = Object.fromEntries(new FormData(who))
  const bytes = new TextEncoder().encode(email + ':' + password)
  authorization = 'Basic ' + btoa(String.fromCharCode(...bytes))
  attempt(() => ask('GET', '/lab/v1/me'))
})

choice.addEventListener('change', (event) => {
  attempt(() => ask('PUT', '/lab/v1/me/virtual-network', { virtual_network: event.target.value }))
})
`
