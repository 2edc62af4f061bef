// Loaded into our own proxy where its memory is measured (`node --import`): SIGUSR2 collects garbage, so that what is counted is what
// tunnels need, and not what V8 has not got round to freeing.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
process.on('SIGUSR2', () => {
  for (let time = 0; time < 3; time++) collect()
})
