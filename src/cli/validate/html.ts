// SPDX-License-Identifier: MIT
//
// This module provides: the result document as one HTML page, which needs nothing else.

import { type CaseResult, imageName, readingsText, type ResultDocument } from './document.js'

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (each) => ENTITIES[each] ?? each)

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c1c1c; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd; }
th { font-weight: 600; }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
.passed { color: #176b2c; } .failed { color: #b00020; font-weight: 600; } .skipped { color: #6b6b6b; }
.ids { font-family: ui-monospace, monospace; font-size: .85em; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616; } th, td { border-color: #333; } pre { background: #222; }
  .passed { color: #6fcf88; } .failed { color: #ff7b8a; } .skipped { color: #9a9a9a; }
}`

const cell = (text: string): string => `<td>${escapeHtml(text)}</td>`

function countersText({ counters }: CaseResult): string {
  if (counters === null) {
    return ''
  }
  return Object.entries(counters.after)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function caseRow(each: CaseResult): string {
  const outcome = `<td class="${each.outcome}">${each.outcome}</td>`
  const ids = `<td class="ids">${escapeHtml(each.ids.join(' '))}</td>`
  return `<tr>${outcome}${cell(each.name)}${ids}${cell(each.evidence.join(' '))}${cell(countersText(each))}${cell(`${each.durationMs} ms`)}</tr>`
}

function failure(each: CaseResult): string {
  const where = `${each.topic}: ${each.name}`
  return `<h3 class="failed">${escapeHtml(where)}</h3><p>${escapeHtml(each.file)}</p><pre>${escapeHtml(each.error ?? '')}</pre>`
}

function topicTable(topic: string, cases: readonly CaseResult[]): string {
  const failed = cases.filter(({ outcome }) => outcome === 'failed').length
  const head = ['outcome', 'case', 'rules', 'evidence', 'counters', 'time'].map((name) => `<th>${name}</th>`).join('')
  const note = failed === 0 ? '' : `, <span class="failed">${failed} failed</span>`
  return `<h2>${escapeHtml(topic)} (${cases.length}${note})</h2>
<table><thead><tr>${head}</tr></thead><tbody>
${cases.map(caseRow).join('\n')}
</tbody></table>`
}

function windowsFacts({ windows, diagnosis }: ResultDocument): readonly (readonly [string, string])[] {
  if (windows === undefined) {
    return []
  }
  const { product, build, revision, memoryIntegrity, verifier } = windows
  const verified =
    verifier.drivers.length === 0 ? 'off' : `0x${verifier.flags.toString(16)} for ${verifier.drivers.join(', ')}`
  return [
    ['Windows', `${product}, build ${build}.${revision}`],
    ['memory integrity', memoryIntegrity],
    ['Driver Verifier', verified],
    ...(diagnosis ?? []).map((line) => ['did not end in time', line] as const),
  ]
}

function facts(document: ResultDocument): string {
  const { machine, driver } = document
  const rows: readonly (readonly [string, string])[] = [
    ['lane', document.lane ?? document.backend],
    ...windowsFacts(document),
    ...(Object.keys(document.readings ?? {}).length === 0
      ? []
      : ([['readings', readingsText(document.readings)]] as const)),
    ['driver image', driver === null ? 'not found' : `${imageName(driver)}, SHA-256 ${driver.sha256}`],
    ['minipend', document.package.version],
    ['Node.js', document.node],
    ['machine', `${machine.platform} ${machine.release} ${machine.arch}, ${machine.processors} processors`],
    ['started', document.startedAt],
    ['took', `${document.durationMs} ms`],
    ...(document.filter === null ? [] : ([['only cases with', document.filter]] as const)),
  ]
  return `<table><tbody>${rows.map(([name, value]) => `<tr><th>${name}</th>${cell(value)}</tr>`).join('')}</tbody></table>`
}

export function htmlOf(document: ResultDocument): string {
  const { passed, failed, skipped } = document.summary
  const topics = [...new Set(document.cases.map(({ topic }) => topic))]
  const failures = document.cases.filter(({ outcome }) => outcome === 'failed')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>minipend conformance: ${passed} passed, ${failed} failed, ${skipped} skipped</title>
<style>${STYLE}</style>
</head>
<body>
<h1>minipend conformance</h1>
<p><span class="passed">${passed} passed</span>, <span class="${failed > 0 ? 'failed' : 'skipped'}">${failed} failed</span>, <span class="skipped">${skipped} skipped</span></p>
${facts(document)}
${failures.length === 0 ? '' : `<h2>Failures</h2>\n${failures.map(failure).join('\n')}`}
${topics
  .map((topic) =>
    topicTable(
      topic,
      document.cases.filter((each) => each.topic === topic),
    ),
  )
  .join('\n')}
</body>
</html>
`
}
