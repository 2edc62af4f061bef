// npm and npx that are ended by a signal leave what they started running, and nobody would know.

/** Asks the process `pid` to stop, as the signal would have, when the npm that started this one is gone. */
export function stopWithNpm(pid) {
  const npm = process.ppid
  if (process.env.npm_lifecycle_event === undefined) return
  const watch = setInterval(() => {
    if (process.ppid === npm) return
    clearInterval(watch)
    process.kill(pid, 'SIGTERM')
  }, 250)
  watch.unref()
}
