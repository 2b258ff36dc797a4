// Owns what `npm test` says at the end: every skip with its reason, every failure, and the count as the last line.

import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';

/** How a test run ended, in the words that are printed. */
export interface Outcome {
  readonly passed: number;
  /** Tests, but also files and suites that broke outside of any test, and errors that nobody caught. */
  readonly failures: readonly string[];
  readonly skips: readonly string[];
}

const REASON_LINES = 6;
const REASON_WIDTH = 400;

/** Collects the outcome of a vitest run. */
export class TestReport implements Reporter {
  #outcome: Outcome = { passed: 0, failures: [], skips: [] };

  get outcome(): Outcome {
    return this.#outcome;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const containers = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    this.#outcome = {
      passed: tests.filter((test) => test.result().state === 'passed').length,
      failures: [
        ...containers
          .filter((container) => container.errors().length > 0)
          .map((container) => withReason(describeContainer(container), container.errors())),
        ...tests
          .filter((test) => isFailed(test))
          .map((test) => withReason(describeTest(test), test.result().errors)),
        ...unhandled.map((error) => `unhandled error: ${error.message ?? String(error)}`),
      ],
      skips: tests.filter((test) => test.result().state === 'skipped').map(describeSkip),
    };
  }
}

/** Where only the end of a run is kept, the reason has to be there too: its beginning and its end, where most say what it is. */
function withReason(name: string, errors: readonly SerializedError[] | undefined): string {
  const lines = (errors?.[0]?.message ?? 'it never ended').split('\n').filter((line) => line.trim() !== '');
  const at = errors?.[0]?.stack?.split('\n').find((line) => /\.test\.ts:\d+/.test(line));
  const reason = [
    ...lines.slice(0, 1),
    ...lines.slice(1).slice(-REASON_LINES),
    ...(at === undefined ? [] : [at.trim()]),
  ];
  return [name, ...reason.map((line) => `    ${line.slice(0, REASON_WIDTH)}`)].join('\n');
}

/** A test that never ended, because its worker died, has not passed. */
function isFailed(test: TestCase): boolean {
  const { state } = test.result();
  return state === 'failed' || state === 'pending';
}

function describeTest(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function describeContainer(container: TestModule | TestSuite): string {
  if (container.type === 'module') return `${container.relativeModuleId} (the file itself)`;
  return `${container.module.relativeModuleId} > ${container.fullName} (before or after its tests)`;
}

function describeSkip(test: TestCase): string {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return note ? `${describeTest(test)}: ${note}` : describeTest(test);
}

/** The text of an outcome; its last line is the count. */
export function formatOutcome({ passed, failures, skips }: Outcome): string {
  const nothing = passed + failures.length === 0 ? ['No test ran.', ''] : [];
  const count = `${passed} passed, ${failures.length} failed`;
  return [...section('Skipped', skips), ...section('Failed', failures), ...nothing, count].join('\n');
}

/** 0 only when tests ran and nothing failed. */
export function exitCodeOf({ passed, failures }: Outcome): number {
  return passed > 0 && failures.length === 0 ? 0 : 1;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title} (${lines.length}):`, ...lines.map((line) => `  ${line}`), ''];
}
