// Whom to thank for geolocation, as the licences of the usual databases ask: a sentence and a link.

import type { GeoFileFacts } from './mmdb-file.ts'

export interface GeoAttribution {
  readonly text: string
  readonly href: string
}

const MAXMIND = { text: 'Includes GeoLite data created by MaxMind', href: 'https://www.maxmind.com/' }
const DB_IP = { text: 'IP Geolocation by DB-IP', href: 'https://db-ip.com/' }

/** By the type the first file read says it has; DB-IP, which comes along, for all but MaxMind's. */
export function attributionOf([first]: readonly GeoFileFacts[]): GeoAttribution {
  return /^Geo(?:Lite2?|IP2?)-/.test(first?.type ?? '') ? MAXMIND : DB_IP
}
