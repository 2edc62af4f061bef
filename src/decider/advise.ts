// Best-practice advice on a configuration ([P1] to [P8]): the policy's, with the location of each user.

import { checkPractices, type PracticeIssue } from '../analysis/best-practices.ts'
import type { RuleVocabulary } from '../analysis/value-findings.ts'
import type { ConfiguredUser, LabConfig } from '../config/lab-config.ts'
import { placeRuleIssue } from '../config/read-rules.ts'
import type { Issue } from '../errors/issue.ts'
import { bundledGeoSources, openGeoDatabase, withoutGeoDatabase } from '../geo/database.ts'
import type { Ip } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import { createStore } from '../store/store.ts'
import { type ReadConfig, unexpectedNotice } from './read-config.ts'

/** The issues there are already, then what could be done better, in the order of the practices ([P2] says in full what the
 *  rule's own check notes in short). Throws an InputError for a geo database that is
 *  not there. */
export function adviseOn({ config, issues }: ReadConfig): readonly Issue[] {
  const sources = config.geo.databases.map((path) => ({ path }))
  const geo = openGeoDatabase(sources.length > 0 ? sources : bundledGeoSources(), { changes: 'ignored' })
  const store = createStore(config, { onNotice: unexpectedNotice })
  const { account, ruleset } = store.current()
  const users = config.users.map((user) => {
    const place = placeOfUser(user, config, geo.placeOf)
    const isSourceKnown = addressesOf(user, config).some((address) => geo.placeOf(address)?.country !== undefined)
    return { email: user.identity.email, isSourceKnown, ...(place === undefined ? {} : { place }) }
  })
  const advice = checkPractices({ account, ruleset, users, vocabulary: vocabularyOf(config) }).map((issue) =>
    inFile(issue, config),
  )
  store.close()
  geo.close()
  const missing = withoutGeoDatabase(config.geo.databases)
  const noGeo = missing === undefined ? [] : [{ ...missing, file: config.file }]
  return [...issues.filter(({ code }) => code !== 'rule.no_fallback'), ...noGeo, ...advice]
}

/** Everything rules can name. People, groups and attributes that tokens of an identity provider bring are not known before. */
export function vocabularyOf(config: LabConfig): RuleVocabulary {
  const { users, groups, listeners, categories, identityProviders, openVocabularies = [], postureChecks = [] } = config
  const bearers = identityProviders.length === 0 ? [] : (['people', 'groups'] as const)
  const allGroups = [...groups, ...users.flatMap(({ identity }) => identity.groups)]
  return {
    people: users.map(({ identity }) => identity.email),
    groups: [...new Map(allGroups.map((group) => [group.id, group])).values()],
    postureChecks,
    endpoints: listeners.flatMap(({ endpoint }) => endpoint?.host ?? []),
    applications: categories.flatMap(({ applications }) => applications),
    categories: categories.flatMap(({ contentCategories }) => contentCategories),
    open: new Set([...openVocabularies, ...bearers]),
  }
}

/** Source addresses the configuration has for a user: those of their devices, and the networks they are known by. */
function addressesOf({ identity, defaultDevice }: ConfiguredUser, { devices, sources }: LabConfig): Ip[] {
  const email = identity.email.toLowerCase()
  const theirs = devices.filter(({ device, user }) => device.id === defaultDevice || user?.toLowerCase() === email)
  return [
    ...theirs.flatMap(({ device }) => device.sourceIp ?? []),
    ...sources.filter(({ user }) => user?.toLowerCase() === email).map(({ network }) => network.base),
  ]
}

function placeOfUser(
  { place, defaultDevice }: ConfiguredUser,
  { devices }: LabConfig,
  placeOf: (address: Ip) => Place | undefined,
): Place | undefined {
  const device = devices.find((entry) => entry.device.id === defaultDevice)
  const address = device?.device.sourceIp
  return place ?? device?.place ?? (address === undefined ? undefined : placeOf(address))
}

function inFile({ rule, why, ...issue }: PracticeIssue, config: LabConfig): Issue {
  const explained = { ...issue, message: `${issue.message}; ${why}` }
  const configured = config.rules.find(({ id }) => id === rule?.id)
  return configured === undefined
    ? { ...explained, file: config.file }
    : placeRuleIssue(explained, configured, config.file)
}
