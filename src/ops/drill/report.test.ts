// The report of a drill: whose word counts, and a page that holds whatever a step may say.

import { generateKeyPairSync, hash, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Signer } from '../../archive/signature.ts';
import { reportPage } from './page.ts';
import { type DrillReport, drillFailure, readReport, signReport } from './report.ts';

const REPORT: DrillReport = {
  type: 'authserver.drill-report',
  format: 1,
  id: 'drl_01m80qcggg8g9m5zdys8sbazy3',
  drill: 'key-loss',
  summary: 'The files of the private keys are gone.',
  at: 1_790_000_000_000,
  ms: 4000,
  program: '0.1.0',
  deployment_id: 'dep_01',
  engine: 'sqlite',
  source: { backup: null, made_at: 1_790_000_000_000 },
  passed: false,
  rpo_ms: 0,
  rto_ms: null,
  steps: [
    step('the private keys are lost', 1, 'done', 'lost', ''),
    step('a start refuses', 900, 'failed', null, `<script>alert(1)</script> "&' </style>`),
  ],
  notes: ['<img src=x>'],
};

function step(
  name: string,
  ms: number,
  outcome: 'done' | 'failed',
  mark: 'lost' | null,
  detail: string,
): DrillReport['steps'][number] {
  return { name, started_at: 1_790_000_000_000, ms, outcome, detail, mark };
}

function makeSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: String(publicKey.export({ format: 'jwk' }).x),
    sign: async (bytes) => sign(null, bytes, privateKey),
  };
}

test('counts with the signature of the deployment, and with no other', async () => {
  const [own, other] = [makeSigner(), makeSigner()];
  const signed = await signReport(REPORT, own);
  expect(readReport(signed, [other.publicKey, own.publicKey])).toEqual(REPORT);
  expect(() => readReport(signed, [other.publicKey])).toThrow(/not signed by a key of this deployment/);
  const changed = signed.replace('"passed":false', '"passed":true');
  expect(() => readReport(changed, [own.publicKey])).toThrow(/not signed/);
  expect(() => readReport('', [own.publicKey])).toThrow(/not signed/);
});

test.each([
  ['an id that leads out of the folder', { id: 'drl_../../../../etc/cron.d/x' }],
  ['another drill', { drill: 'tea-break' }],
  ['more than there is', { surprise: true }],
])('signed or not, it is refused with %s', async (_, change) => {
  const own = makeSigner();
  const signed = await signReport({ ...REPORT, ...change } as DrillReport, own);
  expect(() => readReport(signed, [own.publicKey])).toThrow(/another version/);
});

test('names what went wrong as a failure', () => {
  expect(drillFailure(REPORT)).toMatchObject({
    code: 'failed',
    message: 'The drill key-loss did not pass: a start refuses.',
  });
  expect(drillFailure({ ...REPORT, passed: true })).toBeUndefined();
});

test('is a page without scripts, whose style is the only one that may apply', () => {
  const page = reportPage(REPORT);
  expect(page).not.toMatch(/<script|<img|\sstyle=|\son\w+=|https?:/);
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &quot;&amp;&#39; &lt;/style&gt;');
  const style = /<style>(.*?)<\/style>/s.exec(page)?.[1] ?? '';
  expect(page).toContain(`style-src 'sha256-${hash('sha256', style, 'base64')}'`);
  expect(page).toContain("default-src 'none'");
  expect(page.match(/class="bar"/g)).toHaveLength(2);
  expect(page).toContain('class="outage"');
});

test('draws every bar within the timeline, whatever the clock did meanwhile', () => {
  const year = 365 * 86_400_000;
  const jumps = [0, year, -year, 5].map((jump, at) => ({
    ...step('a step', 1000, 'done', null, ''),
    started_at: REPORT.at + jump + at * 1000,
  }));
  const page = reportPage({ ...REPORT, steps: jumps });
  for (const [, x, width] of page.matchAll(/class="bar" x="(\d+)" y="0" width="(\d+)"/g)) {
    expect(Number(x) + Number(width)).toBeLessThanOrEqual(1000);
    expect(Number(width)).toBeGreaterThan(0);
  }
});
