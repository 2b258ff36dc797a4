/** The report of a drill as a page that needs nothing besides itself: no script, no picture, no address. */
import { hash } from 'node:crypto';
import { PAGE_STYLE } from './page-style.ts';
import type { DrillReport } from './report.ts';

/** The width of the timeline in its own units. */
const WIDE = 1000;
/** Shorter bars would not be seen. */
const LEAST = 4;

/** HTML, to be opened from a disk or sent by mail. */
export function reportPage(report: DrillReport): string {
  const { drill, passed, at, summary } = report;
  const verdict = passed ? 'passed' : 'failed';
  const policy = `default-src 'none'; style-src 'sha256-${hash('sha256', PAGE_STYLE, 'base64')}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Drill ${drill}: ${verdict}, ${moment(at)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">Drill</p>
<h1>${drill}</h1>
<p class="verdict ${verdict}">${passed ? 'Passed' : 'Did not pass'}</p>
<p class="summary">${escaped(summary)}</p>
</header>
<dl class="figures">
${figure('RTO', span(report.rto_ms), 'from the disaster to the first client that was served')}
${figure('RPO', span(report.rpo_ms), 'of what had been acknowledged was lost')}
${figure('Took', span(report.ms), `on ${moment(at)}`)}
</dl>
<section>
<h2>What happened</h2>
${timeline(report)}
</section>
${notes(report)}
<footer>
<dl>
${fact('Report', report.id)}
${fact('Deployment', report.deployment_id)}
${fact('Copy of', report.source.backup ?? 'a backup made for the drill')}
${fact('State of', moment(report.source.made_at))}
${fact('Database', report.engine === 'sqlite' ? 'SQLite' : 'PostgreSQL')}
${fact('Version', report.program)}
</dl>
<p>The signed report is ${escaped(report.id)}.json beside this page; what counts is the signature there.</p>
</footer>
</main>
</body>
</html>
`;
}

function figure(name: string, value: string, meaning: string): string {
  return `<div><dt>${name}</dt><dd>${escaped(value)}<small>${escaped(meaning)}</small></dd></div>`;
}

function fact(name: string, value: string): string {
  return `<div><dt>${name}</dt><dd>${escaped(value)}</dd></div>`;
}

function notes({ notes: all }: DrillReport): string {
  if (all.length === 0) return '';
  return `<section>\n<h2>Notes</h2>\n<ul>${all.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>\n</section>`;
}

/** One row a step, its bar where it lies in the whole; the time without service is shaded behind all of them. */
function timeline({ steps, ms }: DrillReport): string {
  const offsets = offsetsOf(steps);
  const whole = Math.max(1, ms, ...offsets.map((offset, index) => offset + (steps[index]?.ms ?? 0)));
  const scale = (value: number) => Math.round((value / whole) * WIDE);
  const ends = (mark: 'lost' | 'served') => {
    const index = steps.findIndex((step) => step.mark === mark);
    return index === -1 ? undefined : (offsets[index] ?? 0) + (steps[index]?.ms ?? 0);
  };
  const lost = ends('lost');
  const outage = lost === undefined ? '' : shade(scale(lost), scale(ends('served') ?? whole));
  const rows = steps.map((step, index) => {
    const from = Math.min(scale(offsets[index] ?? 0), WIDE - LEAST);
    const width = Math.max(LEAST, Math.min(scale(step.ms), WIDE - from));
    return `<li class="${step.outcome}">
<h3>${escaped(sentence(step.name))}</h3>
<p class="time">${step.outcome === 'failed' ? '<strong>failed</strong> ' : ''}${span(step.ms)}</p>
<svg viewBox="0 0 ${WIDE} 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" x="0" y="4.5" width="${WIDE}" height="1"/>${outage}<rect class="bar" x="${from}" y="0" width="${width}" height="10"/></svg>
<p class="detail">${escaped(step.detail)}</p>
</li>`;
  });
  const legend = lost === undefined ? '' : '<p class="legend"><span></span>nobody is served</p>';
  return `${legend}<ol class="timeline">\n${rows.join('\n')}\n</ol>`;
}

function shade(from: number, to: number): string {
  return `<rect class="outage" x="${from}" y="0" width="${Math.max(LEAST, to - from)}" height="10"/>`;
}

/** When each step began, ms after the first: by the clock where that went on evenly, one after the other where it jumped. */
function offsetsOf(steps: DrillReport['steps']): readonly number[] {
  const [first] = steps;
  const offsets: number[] = [];
  let least = 0;
  for (const { started_at, ms } of steps) {
    const byClock = started_at - (first?.started_at ?? 0);
    const isEven = byClock >= least && byClock < least + 60_000;
    offsets.push(isEven ? byClock : least);
    least = (offsets.at(-1) ?? 0) + ms;
  }
  return offsets;
}

/** `340 ms`, `12.3 s`, `4 min 10 s` */
function span(ms: number | null): string {
  if (ms === null) return 'not measured';
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function moment(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}
