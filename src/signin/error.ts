import { publicParts, statusOf } from '../http/errors.ts';
import type { Incoming, Outgoing } from '../http/exchange.ts';
import type { Failure } from '../kernel/errors.ts';
import type { Pages } from './pages.ts';
import { page } from './visit.ts';

const TITLES: Readonly<Record<number, string>> = {
  403: 'This was not allowed',
  404: 'There is nothing here',
  429: 'Too many tries',
  503: 'Not available at the moment',
};

/** The page of a failure: what happened, what to do next, and the number to quote; nothing of the inside. */
export function makeErrorPage(pages: Pages): (failure: Failure, request: Pick<Incoming, 'id'>) => Outgoing {
  return (failure, request) => {
    const status = statusOf(failure);
    const { sentence, hint } = publicParts(failure);
    const title = TITLES[status] ?? (status >= 500 ? 'Something went wrong' : 'This did not work');
    const content = { title, sentence, hint: hint ?? advice(status), requestId: request.id };
    return page(status, pages.render('error', { title }, content));
  };
}

function advice(status: number): string {
  if (status >= 500) return 'Try again in a moment. If it happens again, tell the operator the number below.';
  return 'Go back and try again, or start from the application you came from.';
}
