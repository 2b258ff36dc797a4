/** What a drill leaves behind: a signed line, the same for people, and what the database remembers of it. */
import { z } from 'zod';
import { readSigned, type Signer, signLine, type Trust } from '../../archive/signature.ts';
import { Failure } from '../../kernel/errors.ts';
import { DRILL_NAMES } from './drill.ts';

const time = z.int().nonnegative();
const text = z.string().max(20_000);

const reportShape = z.strictObject({
  type: z.literal('authserver.drill-report'),
  format: z.literal(1),
  // It becomes the name of files.
  id: z.string().regex(/^drl_[0-9a-z]{26}$/),
  drill: z.enum(DRILL_NAMES),
  summary: text,
  /** When it began, ms. */
  at: time,
  /** How long it took. */
  ms: time,
  program: text,
  deployment_id: text,
  engine: z.enum(['sqlite', 'postgres']),
  source: z.strictObject({
    /** The backup that was opened with the recovery key; null for one that was made for the drill. */
    backup: text.nullable(),
    made_at: time,
  }),
  passed: z.boolean(),
  /** How much of what had been acknowledged was lost; null where nobody looked. */
  rpo_ms: time.nullable(),
  /** From the disaster to the first client that was served, the drill's own checks not counted; null where it never came so far. */
  rto_ms: time.nullable(),
  steps: z
    .array(
      z.strictObject({
        name: text,
        started_at: time,
        ms: time,
        outcome: z.enum(['done', 'failed']),
        detail: text,
        mark: z.enum(['lost', 'served']).nullable(),
      }),
    )
    .max(100),
  notes: z.array(text).max(100),
});

export type DrillReport =
  z.output<typeof reportShape> extends infer Shape
    ? { readonly [Name in keyof Shape]: Shape[Name] extends (infer Item)[] ? readonly Item[] : Shape[Name] }
    : never;
export type DrillSource = DrillReport['source'];

/** The report as two lines: itself, and the signature over it. */
export async function signReport(report: DrillReport, signer: Signer): Promise<string> {
  return (await signLine(signer, report)).toString();
}

/** Failures: `refused` where it is not signed by one of these keys, or is none. */
export function readReport(signed: string, trust: Trust): DrillReport {
  const found = readSigned(Buffer.from(signed));
  if (!found || !trust.includes(found.signedBy)) {
    throw new Failure('refused', 'The report of the drill is not signed by a key of this deployment.', {
      ...(found && { detail: `it is signed by ${found.signedBy}` }),
      hint: 'Reports are signed by the key in backup-signing.pem of the state directory: run the drill with its settings.',
    });
  }
  const read = reportShape.safeParse(JSON.parse(found.line.toString()));
  if (read.success) return read.data;
  throw new Failure('refused', 'The report of the drill is of another version of the program.', {
    hint: 'Run the drill with the version that runs the server.',
  });
}

/** The failure that a report stands for; undefined when all is well. */
export function drillFailure({ drill, passed, steps }: DrillReport): Failure | undefined {
  if (passed) return undefined;
  const failed = steps.filter(({ outcome }) => outcome === 'failed');
  return new Failure(
    'failed',
    `The drill ${drill} did not pass: ${failed.map(({ name }) => name).join('; ')}.`,
    {
      detail: failed.map(({ detail }) => detail).join(' '),
      hint: 'A real disaster would end in the same way. `authserver doctor` looks at the installation; then run the drill again.',
    },
  );
}
