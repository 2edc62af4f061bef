// The frame: name, views, the state of the connection, the lab's time.

import type { ComponentType, JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { signedIn, signOut } from './api/request.ts'
import iconUrl from './icon.svg?no-inline'
import { LabSwitcher } from './labs.tsx'
import { clockOffset, close, connection, fleet, follow, lastHeard } from './live/traffic.ts'
import { location, VIEWS } from './router.ts'
import { SignIn } from './sign-in.tsx'
import { formatDay, formatTime } from './ui/format.ts'
import { Empty } from './ui/notice.tsx'
import { ThemeButton } from './ui/theme-button.tsx'
import { CutOffBanner } from './views/fleet.tsx'
import { WhoAmI } from './who.tsx'

export type Views = Readonly<Record<string, ComponentType>>

export function Shell({ views }: { readonly views: Views }): JSX.Element {
  const inside = signedIn.value
  useEffect(() => {
    if (inside === false) close()
    else follow()
  }, [inside])
  const { path } = location.value
  const title = VIEWS.find((view) => view.path === path)?.title ?? 'Not here'
  useEffect(() => {
    document.title = `${title} · egresslab`
  }, [title])
  if (inside === false) return <SignIn />
  const View = views[path] ?? NotHere
  return (
    <>
      <a class="skip-link" href="#content">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="/">
          <img src={iconUrl} alt="" width="24" height="24" />
          egresslab
        </a>
        <nav aria-label="Views">
          {VIEWS.filter(({ path: to }) => to !== '/fleet' || fleet.value !== undefined).map((view) => (
            <a key={view.path} href={view.path} aria-current={view.path === path ? 'page' : undefined}>
              {view.title}
            </a>
          ))}
        </nav>
        <div class="top-end">
          <LabSwitcher />
          <WhoAmI />
          <ConnectionState />
          <LabTime />
          <ThemeButton />
          <button type="button" class="quiet small" onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </header>
      <LostBanner />
      <CutOffBanner />
      <main id="content" tabIndex={-1}>
        <View />
      </main>
    </>
  )
}

function ConnectionState(): JSX.Element {
  const state = connection.value
  const words = { connecting: 'connecting', live: 'live', lost: 'disconnected' }[state]
  return (
    <span class={`pulse ${state}`} role="status">
      {words}
    </span>
  )
}

/** Only where the lab's clock is not the machine's. */
function LabTime(): JSX.Element | null {
  if (Math.abs(clockOffset.value) < 1500) return null
  const at = Date.now() + clockOffset.value
  return (
    <a class="chip wide-only" href="/clock" title="The lab's clock was set">
      lab: {formatDay(at)}
    </a>
  )
}

function LostBanner(): JSX.Element | null {
  if (connection.value !== 'lost') return null
  const since =
    lastHeard.value === 0 ? '' : ` This page shows the state of ${formatTime(lastHeard.value + clockOffset.value)}.`
  return (
    <div class="lost-banner" role="alert">
      <strong>The lab does not answer.</strong> Retrying automatically.{since}
    </div>
  )
}

function NotHere(): JSX.Element {
  return (
    <Empty title="Page not found">
      <p>
        There is no page at <code>{location.value.path}</code>. There are:
      </p>
      <p class="row">
        {VIEWS.map(({ path, title }) => (
          <a key={path} href={path}>
            {title}
          </a>
        ))}
      </p>
    </Empty>
  )
}
