/** The verbs about backups, as the command line has them done: in the server that runs here, or in this process. */
import { systemRandom } from '../../kernel/random.ts';
import { type CreateRequest, createBackup } from '../../ops/backup/create.ts';
import type { CreateProgress, CreateReport } from '../../ops/backup/create-report.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import { confirmKey, distrustSigner, type KeyReport, replaceKey, showKey } from '../../ops/backup/key.ts';
import { type ListReport, listBackups } from '../../ops/backup/list.ts';
import { type PinReport, type PinRequest, pinBackup } from '../../ops/backup/pin.ts';
import { type PruneReport, type PruneRequest, pruneBackups } from '../../ops/backup/prune.ts';
import type { DayTwoVerb, Workshop } from '../day-two.ts';
import { KeyCustody } from '../keys.ts';
import { makeBackupDesk } from './desk.ts';

/** Whoever runs a command here has a shell on this machine. */
const OPERATOR = { actor: 'admin:operator', ip: null } as const;

export function createVerb(input: CreateRequest): DayTwoVerb<CreateProgress, CreateReport> {
  return {
    path: '/admin/backups',
    body: input,
    here: (workshop, watch) => atDesk(workshop, (desk) => createBackup(desk, input, watch, OPERATOR)),
  };
}

export function listVerb(target: string | null): DayTwoVerb<never, ListReport> {
  return {
    path: '/admin/backups/list',
    body: { target },
    here: (workshop, { signal }) => atDesk(workshop, (desk) => listBackups(desk, { target, signal })),
  };
}

export function pinVerb(input: PinRequest): DayTwoVerb<never, PinReport> {
  return {
    path: '/admin/backups/pin',
    body: input,
    here: (workshop) => atDesk(workshop, (desk) => pinBackup(desk, input, OPERATOR)),
  };
}

export function pruneVerb(input: PruneRequest): DayTwoVerb<never, PruneReport> {
  return {
    path: '/admin/backups/prune',
    body: input,
    here: (workshop, { signal }) => atDesk(workshop, (desk) => pruneBackups(desk, input, signal, OPERATOR)),
  };
}

export const showKeyVerb: DayTwoVerb<never, KeyReport> = {
  path: '/admin/backups/key',
  body: {},
  here: (workshop) => atDesk(workshop, showKey),
};

/** Only the public half of the key goes to whoever does it. */
export function keyVerb(verb: 'confirm' | 'replace', recipient: string): DayTwoVerb<never, KeyReport> {
  const run = verb === 'confirm' ? confirmKey : replaceKey;
  return {
    path: `/admin/backups/key/${verb}`,
    body: { recipient },
    here: (workshop) => atDesk(workshop, (desk) => run(desk, recipient, OPERATOR)),
  };
}

export function distrustVerb(signer: string): DayTwoVerb<never, KeyReport> {
  return {
    path: '/admin/backups/key/distrust',
    body: { signer },
    here: (workshop) => atDesk(workshop, (desk) => distrustSigner(desk, signer, OPERATOR)),
  };
}

async function atDesk<Report>(
  workshop: Workshop,
  work: (desk: BackupDesk) => Promise<Report>,
): Promise<Report> {
  const random = systemRandom;
  const custody = new KeyCustody(workshop.config, { ...workshop, random });
  try {
    return await work(makeBackupDesk({ ...workshop, random, custody, meter: workshop.metrics.meter }));
  } finally {
    custody.close();
  }
}
