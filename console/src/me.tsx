// The entry of `/me`.

import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import './styles/views.css'
import { startTheme } from './theme.ts'

startTheme()
