// Addresses of this machine as verbs see them: which ones the lab binds, which are here, and what would add the others.
// Interfaces only; the composition root does the work.

/** An address, a prefix, or several of one purpose. */
export interface AddressRow {
  readonly use: 'dedicated' | 'shared' | 'origin'
  /** what the world is told */
  readonly public: string
  /** code of the colo, or host name of the origin; '' for shared egress */
  readonly where: string
  /** what is bound: an address, a prefix, or the first and the last of several */
  readonly binds: string
  /** addresses that were tried */
  readonly count: number
  /** without it the lab does not start */
  readonly needed: boolean
  readonly bindable: boolean
  /** by which interface or route this machine has it; null where it does not */
  readonly by: string | null
  readonly problem: string | null
}

export interface MachineChanges {
  /** what is added, and the command for it */
  readonly changes: readonly { readonly what: string; readonly command: string }[]
  /** what this machine cannot have, with the reason */
  readonly impossible: readonly { readonly prefix: string; readonly why: string }[]
}

export interface UpOptions {
  /** shared egress, too */
  readonly shared: boolean
}

export interface AddressDesk {
  /** Tries every address once: what the lab binds, then public dedicated addresses that have stand-ins. */
  readonly check: () => Promise<readonly AddressRow[]>
  /** Is this process allowed to change the machine? */
  readonly isRoot: boolean
  readonly planUp: (options: UpOptions) => Promise<MachineChanges>
  /** Adds what is missing and remembers it in the state folder; `say` hears each command before it runs. Throws an InputError. */
  readonly up: (options: UpOptions & { readonly state: string }, say: (command: string) => void) => Promise<void>
  /** Commands that take back what `up` added, as far as it is still there. Throws an InputError. */
  readonly planDown: (state: string) => readonly string[]
  readonly down: (state: string, say: (command: string) => void) => Promise<void>
  /** Runs a command (without one, the user's shell) in a network of its own that has the addresses; answers its exit code.
   *  Throws an InputError where there is no such network to be had. */
  readonly shell: (command: readonly string[], options: UpOptions) => Promise<number>
}
