import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { SharedAnswers } from './shared-answers.ts';

const question = {};

test('who asks the same in the same turn gets the same answer', async () => {
  const answers = new SharedAnswers();
  const find = vi.fn(async () => ({}));
  const first = await answers.ask(question, { id: 'a' }, find);
  expect(await answers.ask(question, { id: 'a' }, find)).toBe(first);
  expect(find).toHaveBeenCalledTimes(1);
});

test('another input and another question are asked for themselves', async () => {
  const answers = new SharedAnswers();
  const find = vi.fn(async () => ({}));
  await answers.ask(question, { id: 'a' }, find);
  await answers.ask(question, { id: 'b' }, find);
  await answers.ask({}, { id: 'a' }, find);
  expect(find).toHaveBeenCalledTimes(3);
});

test('the next turn asks again, and so does who asks after a write was answered', async () => {
  const answers = new SharedAnswers();
  let value = 1;
  const find = async () => value;
  expect(await answers.ask(question, {}, find)).toBe(1);
  value = 2;
  expect(await answers.ask(question, {}, find)).toBe(1);
  answers.forget();
  expect(await answers.ask(question, {}, find)).toBe(2);
  value = 3;
  await nextTurn();
  expect(await answers.ask(question, {}, find)).toBe(3);
});

test('a failure is told to all who asked, and is not kept for the next turn', async () => {
  const answers = new SharedAnswers();
  const fails = async () => Promise.reject(new Error('locked'));
  const asked = [answers.ask(question, {}, fails), answers.ask(question, {}, fails)];
  await Promise.all(asked.map((answer) => expect(answer).rejects.toThrow('locked')));
  await nextTurn();
  expect(await answers.ask(question, {}, async () => 'found')).toBe('found');
});
