// Writes docs/configuration.md from the tree of keys; with --check it only says whether the file is current.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { keys, type PlacedKey, type PlacedSection, sections } from '../src/app/config/keys.ts';

const FILE = path.join(import.meta.dirname, '..', 'docs', 'configuration.md');

const INTRODUCTION = `# Configuration

<!-- Written by tools/configuration-docs.ts from src/app/config/tree.ts; change it there. -->

Every key can stand in a YAML file (\`--config FILE\`, or \`AUTHSERVER_CONFIG\`) and in an environment variable: its path in
capitals with underscores, after \`AUTHSERVER_\`. The environment wins over the file, the file over the default. An empty
variable counts as not set.

\`\`\`yaml
server:
  issuer: https://auth.example.com
storage:
  driver: postgres
  postgres:
    dsn: postgres://authserver:\${POSTGRES_PASSWORD}@db:5432/authserver
\`\`\`

- \`\${NAME}\` in a value stands for an environment variable; one that is not set is a fault. \`$\${NAME}\` stands for itself.
- Durations are written \`90s\`, \`15m\`, \`1h30m\`, \`7d\`; sizes \`64KiB\`, \`19MiB\`; lists in a variable with commas.
- Unknown keys and bad values are refused, all at once, each with its place and a hint: \`authserver config check\`.
- \`authserver config print\` shows what is in effect and where each value comes from. Secrets are never shown.

Names that other systems gave the same settings are read too, and each is logged with its name here: \`AUTHPLANE_*\` for
\`AUTHSERVER_*\`; \`HELLOJOHN_DATABASE_URL\` and \`DATABASE_URL\` for \`storage.postgres.dsn\` where nothing else names a database
(they also choose the driver \`postgres\` where nothing else chooses one). \`HELLOJOHN_JWT_SIGNING_KEY\` is read as
\`signing.key\` and chooses the key store \`env\` where nothing else chooses one. \`OTEL_EXPORTER_OTLP_ENDPOINT\` and \`OTEL_EXPORTER_OTLP_HEADERS\` are
read where nothing else says where metrics are pushed to.
`;

function writeSection({ path: section, text }: PlacedSection): string {
  const own = keys.filter(
    (placed) => placed.path.slice(0, Math.max(0, placed.path.lastIndexOf('.'))) === section,
  );
  const title = section === '' ? '' : `\n${'#'.repeat(section.split('.').length + 1)} ${section}\n`;
  return [title, text && `\n${text}\n`, ...own.map(writeKey)].join('');
}

function writeKey({
  path: key,
  variable,
  key: { kind, text, defaultText, example, secret },
}: PlacedKey): string {
  const facts = [
    kind,
    ...(defaultText === '' ? [] : [`default ${code(defaultText)}`]),
    ...(example ? [`for example \`${example}\``] : []),
    ...(secret ? ['secret'] : []),
  ];
  return `\n- **\`${key}\`** (\`${variable}\`): ${facts.join('; ')}.\n  ${text}\n`;
}

/** A default is a value, in code; words about one stay words. */
function code(text: string): string {
  const words = text.includes('`') || (text.includes(' ') && !/^["[]/.test(text));
  return words ? text : `\`${text.replace(/^"(.*)"$/, '$1')}\``;
}

/** The whole document. */
export function configurationDocs(): string {
  return INTRODUCTION + sections.map(writeSection).join('');
}

/** Whether docs/configuration.md says what the program does. */
export async function isCurrent(): Promise<boolean> {
  return (await readFile(FILE, 'utf8').catch(() => '')) === configurationDocs();
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) await writeFile(FILE, configurationDocs());
  else if (!(await isCurrent())) {
    console.error('docs/configuration.md is not current. Run: node tools/configuration-docs.ts');
    process.exitCode = 1;
  }
}
