import { describe, expect, it } from 'vitest';
import { checkImports, formatBreaches } from './check-imports.ts';

/** Checks a made-up tree, given as the text of each file. */
function check(tree: Record<string, string>): string[] {
  return formatBreaches(checkImports(Object.entries(tree).map(([path, text]) => ({ path, text }))));
}

describe('the direction of imports', () => {
  it('lets imports go down, over floors, and stay in a room', () => {
    const tree = {
      'src/cli/main.ts':
        "import { compose } from '../app/compose.ts';\nimport { Clock } from '../kernel/clock.ts';",
      'src/app/compose.ts': "import { open } from '../store/sqlite/open.ts';\nimport './signals.ts';",
      'src/app/signals.ts':
        "import { once } from 'node:events';\nimport fastify from 'fastify';\nimport p from '../../package.json';",
      'src/store/sqlite/open.ts': "import { clock } from '../../kernel/clock.ts';",
      'src/kernel/clock.ts': 'export const clock = 1;',
    };
    expect(check(tree)).toEqual([]);
  });

  const refused: [from: string, to: string, reason: string][] = [
    ['src/kernel/ids.ts', 'src/http/form.ts', 'http is above kernel; imports go down'],
    ['src/identity/users.ts', 'src/oauth/scope.ts', 'oauth is above identity; imports go down'],
    ['src/ops/drill.ts', 'src/oauth/endpoint.ts', 'oauth is above ops; imports go down'],
    ['src/store/store.ts', 'src/keys/ring.ts', 'keys is above store; imports go down'],
    ['src/archive/reader.ts', 'src/store/store.ts', 'archive and store are on one floor'],
    ['src/tokens/issue.ts', 'src/signin/page.ts', 'tokens and signin are on one floor'],
    ['src/signin/page.ts', 'src/tokens/issue.ts', 'signin and tokens are on one floor'],
    [
      'src/ops/drill.ts',
      'src/http/routes.ts',
      'ops does not know http; what a drill must boot is handed in by app',
    ],
    ['src/cli/serve.ts', 'src/store/sqlite/open.ts', 'only app names a database driver'],
    ['src/keys/ring.ts', 'src/store/postgres/open.ts', 'only app names a database driver'],
    ['src/app/compose.ts', 'test/setup/engines.ts', 'src imports only from the rooms of src'],
  ];
  it.each(refused)('refuses %s -> %s', (from, to, reason) => {
    const specifier = `${'../'.repeat(from.split('/').length - 1)}${to}`;
    expect(check({ [from]: `\nimport { x } from '${specifier}';`, [to]: '' })).toEqual([
      `${from}:2 imports ${to}: ${reason}`,
    ]);
  });

  const forms = {
    'a type': "import type { X } from '../cli/x.ts';",
    'a namespace': "import * as x from '../cli/x.ts';",
    'a side effect': "import '../cli/x.ts';",
    'many lines': "import {\n  a,\n  b,\n} from '../cli/x.ts';",
    'an export': "export { a } from '../cli/x.ts';",
    'all exports': "export type * from '../cli/x.ts';",
    'a call': "const x = await import('../cli/x.ts');",
    'a type in place': "let x: import('../cli/x.ts').X;",
    'a worker thread': "new Worker(new URL('../cli/x.ts', import.meta.url));",
  };
  it.each(Object.entries(forms))('sees an import of %s', (_form, text) => {
    expect(check({ 'src/kernel/a.ts': text, 'src/cli/x.ts': '' })).toEqual([
      expect.stringContaining('imports src/cli/x.ts: cli is above kernel'),
    ]);
  });

  it('counts lines up to the file that is named', () => {
    const text = "import {\n  a,\n} from '../cli/x.ts';";
    expect(check({ 'src/kernel/a.ts': text, 'src/cli/x.ts': '' })[0]).toMatch(/^src\/kernel\/a\.ts:3 /);
  });

  it('leaves tests free, if what they import exists', () => {
    const tree = { 'src/kernel/a.test.ts': "import '../cli/x.ts';\nimport './gone.ts';", 'src/cli/x.ts': '' };
    expect(check(tree)).toEqual(['src/kernel/a.test.ts:2 imports src/kernel/gone.ts: there is no such file']);
  });
});

describe('cycles', () => {
  it('are found through any number of files, type-only imports included', () => {
    const tree = {
      'src/flow/a.ts': "import { b } from './b.ts';",
      'src/flow/b.ts': "import { c } from './c.ts';",
      'src/flow/c.ts': "import type { A } from './a.ts';",
      'src/flow/d.ts': "import { a } from './a.ts';\nimport { b } from './b.ts';",
    };
    expect(check(tree)).toEqual([
      'src/flow/c.ts:1 imports src/flow/a.ts: closes the cycle ' +
        'src/flow/a.ts -> src/flow/b.ts -> src/flow/c.ts -> src/flow/a.ts',
    ]);
  });
});

describe('names', () => {
  it('refuses rooms without an owner, unknown rooms and default exports', () => {
    const tree = {
      'src/http/utils/a.ts': '',
      'src/misc/b.ts': '',
      'src/c.ts': '',
      'src/http/d.ts': '\nexport default 1;',
      'src/http/e.ts': 'const e = 1;\nexport { e as default };',
    };
    expect(check(tree).map((line) => line.split(':').slice(0, 2).join(':'))).toEqual([
      'src/http/utils/a.ts:1 is in utils',
      'src/misc/b.ts:1 is in no room',
      'src/c.ts:1 is in no room',
      'src/http/d.ts:2 exports default',
      'src/http/e.ts:2 exports default',
    ]);
  });
});
