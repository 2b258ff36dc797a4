/** How the page of a report looks: on a phone, on a desk, on paper, in a dark room. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f6f5f2; --card: #fff; --ink: #1d2024; --soft: #5d6570; --line: #dddad2;
  --good: #1c7a43; --good-paper: #e2f3e8; --bad: #b3261e; --bad-paper: #fbe6e4; --bar: #3c6fb4; --outage: #f7e6c4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1c2026; --ink: #e8e9eb; --soft: #9aa3af; --line: #323842;
    --good: #6fd197; --good-paper: #173325; --bad: #ff8f86; --bad-paper: #43201d; --bar: #7aa9e6; --outage: #463a1d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3rem) clamp(1rem, 4vw, 2rem) 3rem; }
h1, h2, h3, p, dl, dd, ol, ul { margin: 0; }
header { display: grid; grid-template-columns: 1fr auto; align-items: end; gap: .25rem 1rem; }
.eyebrow { grid-column: 1 / -1; color: var(--soft); font-size: .8125rem; letter-spacing: .08em; text-transform: uppercase; }
h1 { font-size: clamp(1.75rem, 6vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; overflow-wrap: anywhere; }
.verdict { padding: .35rem .9rem; border-radius: 999px; font-weight: 650; white-space: nowrap; }
.passed { color: var(--good); background: var(--good-paper); }
.verdict.failed { color: var(--bad); background: var(--bad-paper); }
.summary { grid-column: 1 / -1; max-width: 44rem; margin-top: .5rem; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .75rem; margin: 1.75rem 0 2.25rem; }
.figures div { padding: 1rem 1.125rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
.figures dt { color: var(--soft); font-size: .8125rem; font-weight: 600; letter-spacing: .04em; }
.figures dd { font-size: 1.75rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.figures small { display: block; margin-top: .25rem; color: var(--soft); font-size: .875rem; font-weight: 400; line-height: 1.4; }
section { margin-bottom: 2.25rem; }
h2 { margin-bottom: .75rem; font-size: 1.125rem; }
section ul { padding-left: 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
.legend { display: flex; align-items: center; gap: .5rem; margin-bottom: .75rem; color: var(--soft); font-size: .875rem; }
.legend span { width: 1.5rem; height: .75rem; border-radius: 2px; background: var(--outage); }
.timeline { padding: .25rem 1.125rem; list-style: none; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
.timeline li { display: grid; grid-template-columns: 1fr auto; gap: .375rem 1rem; padding: .875rem 0; }
.timeline li + li { border-top: 1px solid var(--line); }
h3 { font-size: 1rem; font-weight: 600; line-height: 1.4; }
.time { color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; }
.time strong { color: var(--bad); }
svg { grid-column: 1 / -1; display: block; width: 100%; height: .75rem; border-radius: 2px; }
.track { fill: var(--line); }
.bar { fill: var(--bar); }
.failed .bar { fill: var(--bad); }
.outage { fill: var(--outage); }
.detail { grid-column: 1 / -1; color: var(--soft); font-size: .9375rem; overflow-wrap: anywhere; }
.detail:empty { display: none; }
li.failed .detail { color: var(--bad); }
footer { padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .875rem; }
footer dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .625rem 1.5rem; margin-bottom: 1rem; }
footer dt { font-weight: 600; }
footer dd { overflow-wrap: anywhere; }
@media (min-width: 48rem) {
  .timeline li { grid-template-columns: 19.5rem 1fr 8rem; align-items: center; column-gap: 1.5rem; }
  .timeline svg { grid-column: 2; grid-row: 1; height: 1rem; }
  .timeline .time { grid-column: 3; grid-row: 1; text-align: right; }
  .timeline .detail { grid-column: 1 / -1; }
}
@media print { body { background: none; } .timeline, .figures div { break-inside: avoid; } }
`;
