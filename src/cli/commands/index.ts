// Every verb, in the order `egresslab --help` lists them. A new verb is a file beside this one and a line here.

import type { RegisterVerb } from '../verb.ts'
import { registerCa } from './ca.ts'
import { registerColo } from './colo.ts'
import { registerGeofeed } from './geofeed.ts'
import { registerVnet } from './vnet.ts'

export const VERBS: readonly RegisterVerb[] = [registerColo, registerVnet, registerGeofeed, registerCa]
