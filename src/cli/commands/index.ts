// Every command, in the order of `egresslab --help`. A new command is a file beside this one and a line here.

import type { RegisterVerb } from '../verb.ts'
import { registerAddresses } from './addresses.ts'
import { registerAudit } from './audit.ts'
import { registerBench } from './bench.ts'
import { registerCa } from './ca.ts'
import { registerCheck } from './check.ts'
import { registerClock } from './clock.ts'
import { registerColo } from './colo.ts'
import { registerEnv } from './env.ts'
import { registerExplain } from './explain.ts'
import { registerExpr } from './expr.ts'
import { registerFleet } from './fleet.ts'
import { registerFmt } from './fmt.ts'
import { registerGeofeed } from './geofeed.ts'
import { registerInit } from './init.ts'
import { registerMatrix } from './matrix.ts'
import { registerPac } from './pac.ts'
import { registerProve } from './prove.ts'
import { registerReplay } from './replay.ts'
import { registerRules } from './rules.ts'
import { registerRun } from './run.ts'
import { registerScenario } from './scenario.ts'
import { registerSessions } from './sessions.ts'
import { registerShell } from './shell.ts'
import { registerStart } from './start.ts'
import { registerState } from './state.ts'
import { registerTest } from './test.ts'
import { registerToken } from './token.ts'
import { registerVerify } from './verify.ts'
import { registerVnet } from './vnet.ts'

export const VERBS: readonly RegisterVerb[] = [
  registerStart,
  registerInit,
  registerExplain,
  registerMatrix,
  registerCheck,
  registerTest,
  registerProve,
  registerScenario,
  registerReplay,
  registerVerify,
  registerEnv,
  registerRun,
  registerFmt,
  registerExpr,
  registerColo,
  registerVnet,
  registerClock,
  registerSessions,
  registerFleet,
  registerToken,
  registerAudit,
  registerState,
  registerAddresses,
  registerShell,
  registerRules,
  registerGeofeed,
  registerPac,
  registerBench,
  registerCa,
]
