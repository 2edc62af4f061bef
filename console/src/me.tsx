// The entry of `/me`.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/explaining.css'
import { render } from 'preact'
import { followBase } from './base.ts'
import { startTheme } from './theme.ts'
import { MePage } from './views/me.tsx'

followBase()
startTheme()
const root = document.querySelector('#app')
root?.replaceChildren()
if (root !== null) render(<MePage />, root)
