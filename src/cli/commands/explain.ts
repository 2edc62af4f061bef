// `explain`: decides one hypothetical connection, without traffic, and shows everything that led to the decision.

import { Option } from 'commander'
import type { Decider } from '../../decider/decider.ts'
import {
  type Explained,
  type ExplainOptions,
  explainConnection,
  explanationJson,
} from '../../decider/explain-connection.ts'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { InputError, inputError } from '../../errors/issue.ts'
import { behindPlaceholder } from '../ask-lab.ts'
import { openDecider, tellOfGeo } from '../lazy-imports.ts'
import { renderExplanation } from '../render/render-explanation.ts'
import { type Io, stylesFor, writeJson } from '../terminal.ts'
import { DEFAULT_STATE, type ExitCode, type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options extends ExplainOptions {
  readonly config: string
  readonly state: string
  readonly api?: string
  readonly full?: boolean
  readonly json?: true
}

export const registerExplain: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('explain <destination>')))
    .description('decides a hypothetical connection and explains the decision; sends no traffic')
    .addHelpText('after', '\nDESTINATION is a URL, a host (port 443), host:port or ip:port.')
    .option('--full', 'show every rule, the path and the addresses considered too')
    .option('--user <email>', 'user who connects (default: no user)')
    .option('--vnet <name or id>', 'virtual network of this connection')
    .option('--source-ip <ip>', "the device's public address")
    .option('--device <name or id>', 'the device')
    .addOption(new Option('--protocol <protocol>', 'transport').choices(['tcp', 'udp']).default('tcp'))
    .option('--endpoint <name>', 'proxy endpoint or listener that accepts the connection')
    .addOption(new Option('--family <family>', 'address family to use').choices(['4', '6']))
    .option('--colo-down <code>', 'assume that this data center is down (repeatable)', collect, [])
    .option('--state <dir>', 'folder with run-time changes', DEFAULT_STATE)
    .option(
      '--api <host:port>',
      "address of the running lab's API, which knows placeholders (default: from the configuration)",
    )
    .action(
      action(async (destination: string, options: Options) => {
        const decider = await openDecider({ configFile: options.config, state: options.state })
        tellOfGeo(io, decider.issues)
        try {
          return show(io, options, await explained(decider, destination, options))
        } catch (thrown) {
          if (thrown instanceof InputError) throw thrown
          return refuse(io, options, asGatewayError(thrown))
        } finally {
          decider.close()
        }
      }),
    )

  /** A placeholder is what the running lab gave it out for. */
  async function explained(decider: Decider, destination: string, options: Options) {
    try {
      return await explainConnection(decider, destination, options)
    } catch (thrown) {
      if (!(thrown instanceof GatewayError && thrown.code === 'name.unknown_placeholder')) throw thrown
      const meant = await behindPlaceholder(options, destination)
      io.stderr.write(`${meant.note}\n`)
      return explainConnection(decider, meant.destination, { ...options, family: meant.family })
    }
  }
}

function show(io: Io, { json, full = false }: Options, explained: readonly [Explained, ...Explained[]]): ExitCode {
  if (json) writeJson(io, explanationJson(explained))
  else io.stdout.write(renderExplanation(explained, { full, style: stylesFor(io, io.stdout) }))
  return 0
}

/** A connection that would fail before a decision is an answer too; only what cannot be asked is bad input. */
function refuse(io: Io, { json }: Options, error: GatewayError): ExitCode {
  const { code, message } = error
  if (code === 'internal.invariant') throw error.cause ?? error
  if (code.startsWith('request.')) throw inputError(code, message)
  if (json) writeJson(io, { flow: null, decision: null, trace: [], error: { code, message } })
  else io.stdout.write(`${stylesFor(io, io.stdout).bad('fails before a decision')}: ${message} [${code}]\n`)
  return 1
}

function collect(code: string, before: readonly string[]): readonly string[] {
  return [...before, code]
}
