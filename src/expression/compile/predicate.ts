// What an expression is compiled to.

import type { FieldValues, Lists } from '../value.ts'

/** Does a connection with these values, under these lists, match? */
export type Predicate = (values: FieldValues, lists: Lists) => boolean
