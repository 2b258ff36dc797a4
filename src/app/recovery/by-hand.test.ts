import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { has } from '../../../test/deploy/folder.ts';
import { engines } from '../../../test/setup/engines.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { systemRandom } from '../../kernel/random.ts';
import { firstDigest, readFrame } from '../../store/change-frame.ts';
import { framesFrom, listSpool, readSpoolHeader } from '../../store/change-spool.ts';
import { Logged } from './logged.test-kit.ts';

const PAGE = path.join(import.meta.dirname, '..', '..', '..', 'docs', 'recovery-log-format.md');
const missing = ['age', 'zstd'].filter((tool) => !has(tool)).map((tool) => `no ${tool} on PATH`);
if (engines.every(({ name }) => name !== 'sqlite')) missing.push('no sqlite engine');
const skipped = missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')})`;

describe.skipIf(missing.length > 0)(`a segment that is opened by hand${skipped}`, () => {
  it('gives the frames that were committed, to the commands of the documentation', async () => {
    const identity = makeIdentity(systemRandom);
    const encryption = { kind: 'age', recipients: [recipientOf(identity)] } as const;
    await using logged = await new Logged({ seed: 71, encryption }).open();
    await logged.live(8);
    await logged.shipAll();
    const [name = ''] = logged.segments();
    copyFileSync(path.join(logged.shelfFolders[0] ?? '', name), path.join(logged.folder, name));
    writeFileSync(path.join(logged.folder, 'recovery-key.txt'), `# a sheet\n${identity}\n`);

    const [, commands = ''] = /```sh\n([^`]+)```/.exec(readFileSync(PAGE, 'utf8')) ?? [];
    expect(commands).toContain('log.CHAIN.FIRST-LAST.seg');
    const script = `set -eu -o pipefail\n${commands.replaceAll('log.CHAIN.FIRST-LAST.seg', name)}`;
    execFileSync('bash', ['-c', script], { cwd: logged.folder, stdio: 'pipe' });
    const frames = readFileSync(path.join(logged.folder, 'frames'));
    const [spooled] = listSpool(logged.spool);
    const opened = readSpoolHeader(spooled?.path ?? '');
    if (!spooled || !opened) throw new Error('nothing is spooled');
    const written = [...framesFrom(spooled.path, opened.start)].map(({ frame }) => frame.bytes);
    expect(written.length).toBeGreaterThan(3);
    expect(frames.equals(Buffer.concat(written))).toBe(true);
    expect(readFrame(frames, 0, firstDigest(spooled.chain))).toMatchObject({ batch: 1 });
  });
});
