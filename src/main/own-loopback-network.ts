// Loopback networks for the stand-ins of labs beside other labs: the tour's, those of scenarios.

let opened = 0

/** One per lab, apart from the shipped one's 127.0.0.0/16 and, as far as their ids go, from other processes'. */
export function ownLoopbackNetwork(): string {
  return `127.${200 + ((process.pid + opened++) % 50)}.0.0/16`
}
