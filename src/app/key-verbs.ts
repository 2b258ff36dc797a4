/** The verbs about where private keys are and what seals them, as the command line has them done (day-two.ts). */
import {
  type AbandonInput,
  type AbandonReport,
  abandonMasterKey,
  type CustodyParts,
  type MasterKeyReport,
  type MoveInput,
  masterKeyReport,
  movePrivateKeys,
  type ReencryptInput,
  reencryptKeys,
  type SharesInput,
  type SharesReport,
  shareMasterKey,
} from '../admin/keys-custody.ts';
import { systemRandom } from '../kernel/random.ts';
import type { ReencryptProgress, ReencryptReport } from '../keys/sealing/reencrypt.ts';
import type { MoveProgress, MoveReport } from '../keys/stores/move.ts';
import type { DayTwoVerb, Workshop } from './day-two.ts';
import { KeyCustody } from './keys.ts';

/** Whoever runs a command here has a shell on this machine. */
const OPERATOR = { actor: 'admin:operator', ip: null } as const;

export function reencryptVerb(input: ReencryptInput): DayTwoVerb<ReencryptProgress, ReencryptReport> {
  return {
    path: '/admin/keys/reencrypt',
    body: input,
    here: (workshop, watch) => inCustody(workshop, (parts) => reencryptKeys(parts, input, watch, OPERATOR)),
  };
}

export function moveVerb(input: MoveInput): DayTwoVerb<MoveProgress, MoveReport> {
  return {
    path: '/admin/keys/move',
    body: input,
    here: (workshop, watch) => inCustody(workshop, (parts) => movePrivateKeys(parts, input, watch, OPERATOR)),
  };
}

export function sharesVerb(input: SharesInput): DayTwoVerb<never, SharesReport> {
  return {
    path: '/admin/keys/shares',
    body: input,
    here: (workshop, watch) => inCustody(workshop, (parts) => shareMasterKey(parts, input, watch, OPERATOR)),
  };
}

export function abandonVerb(input: AbandonInput): DayTwoVerb<never, AbandonReport> {
  return {
    path: '/admin/keys/abandon',
    body: input,
    here: (workshop, watch) =>
      inCustody(workshop, (parts) => abandonMasterKey(parts, input, watch, OPERATOR)),
  };
}

/** Asks the database alone: it is for those who have lost the master key. */
export const masterKeyVerb: DayTwoVerb<never, MasterKeyReport> = {
  path: '/admin/keys/master-key',
  body: {},
  here: ({ store }) => masterKeyReport(store),
};

async function inCustody<Report>(
  workshop: Workshop,
  work: (parts: CustodyParts) => Promise<Report>,
): Promise<Report> {
  const random = systemRandom;
  // Stores are opened when they are asked for: a verb must not need more than what it is about.
  const custody = new KeyCustody(workshop.config, { ...workshop, random });
  try {
    return await work({ ...workshop, custody, random });
  } finally {
    custody.close();
  }
}
