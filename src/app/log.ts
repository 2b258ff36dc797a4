import { pino, stdSerializers, stdTimeFunctions } from 'pino';
import type { Log, LogFields } from '../kernel/log.ts';
import type { Config } from './config.ts';

/** The log as configured. Lines are written before the call returns, so that none is lost when the process ends. */
export function makeLog({ level, format, output }: Config['observability']['logging']): Log {
  const descriptor = output === 'stdout' ? 1 : 2;
  const destination = pino.destination({ fd: descriptor, sync: true });
  const stream =
    format === 'json' ? destination : { write: (line: string) => destination.write(forPeople(line)) };
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err, cause: stdSerializers.err },
    },
    stream,
  );
}

/** `12:30:05 WARN  what happened  key=value` */
function forPeople(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as LogFields &
    Record<'time' | 'level' | 'msg', string>;
  const details = Object.entries(fields).map(([name, value]) => `  ${name}=${showValue(value)}`);
  return `${time.slice(11, 19)} ${level.toUpperCase().padEnd(5)} ${msg}${details.join('')}\n`;
}

function showValue(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"]+$/.test(value)) return value;
  return JSON.stringify(value);
}
