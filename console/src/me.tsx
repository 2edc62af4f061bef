// The entry of `/me`.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/explaining.css'
import { render } from 'preact'
import { startTheme } from './theme.ts'
import { MePage } from './views/me.tsx'

startTheme()
const root = document.querySelector('#app')
if (root !== null) render(<MePage />, root)
