// The module `node:ffi`, where this Node has it. There is no static import of it: Node 24 has no such module.

export type Ffi = typeof import('node:ffi')

/** The module, or why there is none. Its own ExperimentalWarning is not shown; every other warning is. */
export function loadFfi(): Ffi | string {
  const { emitWarning } = process
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (!isAboutFfi(warning, rest[0])) Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  try {
    const ffi: Ffi | undefined = process.getBuiltinModule('node:ffi')
    return ffi ?? `Node ${process.versions.node} has no \`node:ffi\``
  } catch (thrown) {
    return `\`node:ffi\` cannot be loaded (${thrown instanceof Error ? thrown.message : String(thrown)})`
  } finally {
    process.emitWarning = emitWarning
  }
}

function isAboutFfi(warning: string | Error, options: unknown): boolean {
  const type = typeof options === 'object' && options !== null ? (options as { type?: unknown }).type : options
  return type === 'ExperimentalWarning' && String(warning).startsWith('FFI ')
}
