// A search engine whose landing page follows the visitor's geolocation: country and language, as people notice it when
// their egress moves.

import type { Answer } from './answer.ts'
import { html } from './html.ts'
import { factList } from './page.ts'
import { describeView, type Visit, type Visitor, visitFacts } from './visit.ts'

/** The word on the button, by language; English for the others. */
const SEARCH_WORDS: Readonly<Record<string, string>> = {
  ar: 'بحث',
  de: 'Suche',
  en: 'Search',
  es: 'Buscar',
  fr: 'Rechercher',
  hi: 'खोजें',
  it: 'Cerca',
  ja: '検索',
  ko: '검색',
  nl: 'Zoeken',
  pl: 'Szukaj',
  pt: 'Pesquisar',
  sv: 'Sök',
  tr: 'Ara',
  uk: 'Пошук',
  zh: '搜索',
}

/** The landing page for the country the site's database sees; an unknown country gets the English one. */
export function search(visit: Visit, visitor: Visitor): Answer {
  const country = visitor.view?.place.country
  const language = languageOf(country)
  const name = country === undefined ? 'International' : nameOf(country, language)
  return {
    status: 200,
    headers: { 'content-language': language },
    text: `country: ${country ?? 'unknown'}\nlanguage: ${language}\nseen: ${visitor.address.text}\nfrom: ${describeView(visitor.view)}\n`,
    json: { country: country ?? null, language, country_name: name, ...visitFacts(visit, visitor) },
    page: {
      title: `${visit.site.spec.title} · ${name}`,
      language,
      headline: name,
      tone: 'plain',
      body: html`<form role="search" dir="auto"><label>${SEARCH_WORDS[language] ?? SEARCH_WORDS.en ?? ''} <input type="search" name="q" disabled></label></form>
<div lang="en">${factList({ 'Seen as': visitor.address.text, 'Seen from': describeView(visitor.view) })}</div>`,
    },
  }
}

/** The language most spoken in a country (Unicode likely subtags), where this page has it; else English. */
function languageOf(country: string | undefined): string {
  if (country === undefined || !/^[A-Z]{2}$/.test(country)) return 'en'
  const { language } = new Intl.Locale('und', { region: country }).maximize()
  return language in SEARCH_WORDS ? language : 'en'
}

function nameOf(country: string, language: string): string {
  return new Intl.DisplayNames([language], { type: 'region' }).of(country) ?? country
}
