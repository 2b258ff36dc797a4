import { ConfigurationFailure } from '../../app/config/fault.ts';
import type { Failure } from '../../kernel/errors.ts';
import type { Printer } from './printer.ts';

/** Writes one JSON value a line (docs/cli-json.md). */
export function jsonPrinter(out: NodeJS.WritableStream, err: NodeJS.WritableStream): Printer {
  const write = (value: object) => {
    out.write(`${JSON.stringify(value)}\n`);
  };
  return {
    record: write,
    list: (items, _columns, _whenEmpty, besides) => write({ items, ...besides }),
    item: write,
    document: write,
    next() {},
    failure(failure: Failure) {
      const { code, message, detail, hint } = failure;
      const faults = failure instanceof ConfigurationFailure ? failure.faults : undefined;
      err.write(`${JSON.stringify({ error: { code, message, detail, hint, faults } })}\n`);
    },
  };
}
