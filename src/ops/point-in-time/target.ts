/** The moment that a restored cluster is taken to, in the words of PostgreSQL. */

/** What PostgreSQL says when the log ends before the target: that was the last change there is. */
const ENDED_BEFORE = 'recovery ended before configured recovery target was reached';

/**
 * The last microsecond of this millisecond, so that whatever was committed in it is in.
 * @param time ms
 */
export function recoveryTarget(time: number): string {
  const text = new Date(time).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 23)}999+00`;
}

/** True of the last words of a server whose log ends before its target. */
export function endedBeforeTarget(lines: readonly string[]): boolean {
  return lines.some((line) => line.includes(ENDED_BEFORE));
}

/**
 * Of the settings that came along with the data, those by which pgBackRest restores. The others are meant for the live
 * server: they would archive, listen, load libraries.
 * @param withTarget false to go to the end of the log
 */
export function recoverySettings(autoConf: string, withTarget: boolean): string {
  const wanted = withTarget ? /^(restore_command|recovery_target\w*)\s*=/ : /^restore_command\s*=/;
  return autoConf
    .split('\n')
    .filter((line) => wanted.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

/** A setting of the restored cluster that a server must have at least, from the words of pg_controldata. */
export function controlValue(controlData: string, label: string): string | undefined {
  const line = controlData.split('\n').find((text) => text.startsWith(`${label}:`));
  return line?.slice(label.length + 1).trim();
}
