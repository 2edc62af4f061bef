// Runs in a page of somebody else's: tries every way a page has to read from the lab's API or to change something there. Served
// by the test's own server; knows every route and an id for each parameter, and the browser is logged in to the lab.

const PATIENCE_MS = 4000

/** Every attempt that read anything, as text; empty: nothing worked. */
globalThis.attack = async (base, routes) => {
  const loot = []
  const note = (what, path) => loot.push(`${what} ${path}`)
  const attempts = routes.flatMap(({ method, path }) => [
    () => readByFetch(base, method, path, note),
    () => sendBlindly(base, method, path),
    ...(method === 'GET' ? [() => readByElement(base, path, note), () => readByFrame(base, path, note)] : []),
    ...(method === 'GET' ? [() => readByStream(base, path, note)] : [() => submitForm(base, path)]),
  ])
  // as many at once as a browser has connections, and some more
  const queue = [...attempts]
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next()
    }),
  )
  return { loot, attempts: attempts.length }
}

const BODIES = {
  'application/json': '{"up":false,"time":"2040-01-01T00:00:00Z","seconds":1,"virtual_network":"vnet-AMER"}',
  'text/plain': '{"up":false,"time":"2040-01-01T00:00:00Z"}',
  'application/x-www-form-urlencoded': 'up=false',
}

async function readByFetch(base, method, path, note) {
  for (const [type, body] of Object.entries(BODIES)) {
    const init = { method, credentials: 'include', headers: { 'content-type': type } }
    try {
      const response = await fetch(base + path, method === 'GET' ? init : { ...init, body })
      // an answer that can be read is loot only when it says more than no
      if (response.status < 400) note(`fetch ${method} ${type} read ${response.status} of`, path)
    } catch {
      // refused by the browser, as it should be
    }
  }
}

async function sendBlindly(base, method, path) {
  if (method !== 'GET') navigator.sendBeacon(base + path, new Blob([BODIES['text/plain']], { type: 'text/plain' }))
  const blind = { mode: 'no-cors', credentials: 'include', method: method === 'GET' ? 'GET' : 'POST' }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
    const body = blind.method === 'GET' ? {} : { body: BODIES[type], headers: { 'content-type': type } }
    await fetch(base + path, { ...blind, ...body }).catch(() => {})
  }
}

/** Images, scripts and styles load across origins; that one loads tells something. */
function readByElement(base, path, note) {
  const elements = [
    Object.assign(new Image(), { src: base + path }),
    Object.assign(document.createElement('script'), { src: base + path }),
    Object.assign(document.createElement('link'), { rel: 'stylesheet', href: base + path }),
  ]
  return Promise.all(
    elements.map((element) =>
      settled((done) => {
        element.onload = () => {
          note(`<${element.localName}> loaded`, path)
          done()
        }
        element.onerror = done
        if (element.localName !== 'img') document.head.append(element)
      }),
    ),
  )
}

/** A frame that is shown could be clicked through; one of the same origin could be read. */
function readByFrame(base, path, note) {
  return settled((done) => {
    const frame = Object.assign(document.createElement('iframe'), { src: base + path })
    frame.onload = () => {
      let text
      try {
        text = frame.contentDocument?.body?.innerText ?? ''
      } catch {
        text = ''
      }
      if (/"success": ?true|<form|egresslab/i.test(text)) note('<iframe> read', path)
      frame.remove()
      done()
    }
    document.body.append(frame)
  })
}

function readByStream(base, path, note) {
  const streams = [
    new EventSource(base + path, { withCredentials: true }),
    new WebSocket(base.replace('http', 'ws') + path),
  ]
  return Promise.all(
    streams.map((stream) =>
      settled((done) => {
        stream.onopen = () => {
          note(`${stream.constructor.name} opened`, path)
          done()
        }
        stream.onerror = () => {
          stream.close()
          done()
        }
      }),
    ),
  )
}

/** A form whose body reads as JSON to a server that does not look at the type. */
function submitForm(base, path) {
  return settled((done) => {
    const name = `frame-${Math.random()}`
    const frame = Object.assign(document.createElement('iframe'), { name })
    const form = Object.assign(document.createElement('form'), {
      action: base + path,
      method: 'post',
      enctype: 'text/plain',
      target: name,
    })
    form.append(Object.assign(document.createElement('input'), { name: '{"up":false,"x":"', value: '"}' }))
    document.body.append(frame, form)
    frame.onload = () => {
      if (frame.dataset.sent === 'yes') done()
    }
    frame.dataset.sent = 'yes'
    form.submit()
  }).finally(() => {})
}

/** Resolves when told, or after a while: what never answers is no success. */
function settled(start) {
  return new Promise((resolve) => {
    setTimeout(resolve, PATIENCE_MS)
    start(resolve)
  })
}
