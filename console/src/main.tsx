// The console's entry.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/views.css'
import './styles/explaining.css'
import './styles/rules.css'
import { render } from 'preact'
import { followLinks } from './router.ts'
import { Shell } from './shell.tsx'
import { startTheme } from './theme.ts'
import { ClockView } from './views/clock.tsx'
import { ExplainView } from './views/explain.tsx'
import { LiveView } from './views/live.tsx'
import { RulesView } from './views/rules.tsx'
import { SessionsView } from './views/sessions.tsx'
import { VerifyView } from './views/verify.tsx'

const VIEWS = {
  '/': LiveView,
  '/sessions': SessionsView,
  '/rules': RulesView,
  '/explain': ExplainView,
  '/verify': VerifyView,
  '/clock': ClockView,
}

startTheme()
followLinks()
const root = document.querySelector('#app')
if (root !== null) {
  render(<Shell views={VIEWS} />, root)
}
