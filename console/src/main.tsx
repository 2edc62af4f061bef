// The console's entry.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/views.css'
import './styles/explaining.css'
import './styles/rules.css'
import './styles/matrix.css'
import { render } from 'preact'
import { followBase } from './base.ts'
import { followLinks } from './router.ts'
import { Shell } from './shell.tsx'
import { startTheme } from './theme.ts'
import { AccountView } from './views/account.tsx'
import { ClockView } from './views/clock.tsx'
import { ConnectView } from './views/connect.tsx'
import { ExplainView } from './views/explain.tsx'
import { FleetView } from './views/fleet.tsx'
import { HistoryView } from './views/history.tsx'
import { LiveView } from './views/live.tsx'
import { MatrixView } from './views/matrix.tsx'
import { RulesView } from './views/rules.tsx'
import { SessionsView } from './views/sessions.tsx'

const VIEWS = {
  '/': LiveView,
  '/sessions': SessionsView,
  '/rules': RulesView,
  '/matrix': MatrixView,
  // where the matrix's services used to be
  '/verify': MatrixView,
  '/explain': ExplainView,
  '/connect': ConnectView,
  '/account': AccountView,
  '/clock': ClockView,
  '/history': HistoryView,
  '/fleet': FleetView,
}

followBase()
startTheme()
followLinks()
const root = document.querySelector('#app')
if (root !== null) {
  root.replaceChildren()
  render(<Shell views={VIEWS} />, root)
}
