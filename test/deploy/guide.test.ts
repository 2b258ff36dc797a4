import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readDeploy, root } from './folder.ts';

it('the guide names only files that there are', () => {
  const guide = readFileSync(path.join(root, 'docs', 'operate', 'deploy.md'), 'utf8');
  const named = guide.match(/(?<![/\w])(?:\.\.\/\.\.\/)?(?:deploy|test)\/[\w./*-]*[\w/]/g) ?? [];
  expect(named.length).toBeGreaterThan(10);
  const folders = named.map((name) => name.replace('../../', '').replace(/\/\*.*$/, ''));
  const missing = folders.filter((name) => !existsSync(path.join(root, name)));
  // Which the reader makes.
  expect([...new Set(missing)]).toEqual(['deploy/compose/.env']);
});

it('the chart, the kustomizations and the program are of one version', () => {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(readDeploy('helm/authserver/Chart.yaml')).toContain(`\nappVersion: "${version}"\n`);
  for (const variant of ['postgres', 'sqlite']) {
    expect(readDeploy(`kubernetes/${variant}/kustomization.yaml`)).toContain(`newTag: "${version}"\n`);
  }
});
