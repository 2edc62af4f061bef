// `--mode`: which spellings of the expression language are taken ([R11]).

import { Option } from 'commander'

/** `default` takes what the product takes, `lenient` also what only its documentation has, `engine` nothing beyond wirefilter. */
export function modeOption(): Option {
  return new Option('--mode <mode>', 'spellings taken').choices(['engine', 'default', 'lenient']).default('default')
}
