// The console's entry.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/views.css'
import { render } from 'preact'
import { followLinks } from './router.ts'
import { Shell } from './shell.tsx'
import { startTheme } from './theme.ts'
import { LiveView } from './views/live.tsx'
import { SessionsView } from './views/sessions.tsx'

startTheme()
followLinks()
const root = document.querySelector('#app')
if (root !== null) {
  render(<Shell views={{ '/': LiveView, '/sessions': SessionsView }} />, root)
}
