// Ids of different things, kept apart by the compiler: a text becomes any of them, but none becomes another. At run time
// all are plain texts.

declare const kind: unique symbol

type Id<Kind extends string> = string & { readonly [kind]?: Kind }

/** UUID of a rule */
export type RuleId = Id<'rule'>
/** UUID of a virtual network */
export type NetworkId = Id<'virtual network'>
/** UUID of a list */
export type ListId = Id<'list'>
/** UUID of a tunnel */
export type TunnelId = Id<'tunnel'>
/** id of a user, of the configuration or of an identity provider */
export type UserId = Id<'user'>
/** IATA code of a data center */
export type ColoCode = Id<'colo'>
