/**
 * Answers found in one turn of the event loop, given to all who ask the same in it: requests that arrive together mostly name
 * the same few clients and resources. They are forgotten when the turn is over, and must be forgotten whenever a write is
 * answered: who has been told of a write reads it. Nobody may change an answer.
 */
export class SharedAnswers {
  readonly #answers = new Map<object, Map<string, Promise<unknown>>>();

  /** What was found with this input for whoever asked first; `asked` tells one question from another. */
  ask<Answer>(asked: object, input: unknown, find: () => Promise<Answer>): Promise<Answer> {
    const known = this.#answersTo(asked);
    const key = JSON.stringify(input);
    const answer = known.get(key) ?? find();
    known.set(key, answer);
    return answer as Promise<Answer>;
  }

  forget(): void {
    this.#answers.clear();
  }

  #answersTo(asked: object): Map<string, Promise<unknown>> {
    const known = this.#answers.get(asked);
    if (known) return known;
    if (this.#answers.size === 0) setImmediate(() => this.forget());
    const answers = new Map<string, Promise<unknown>>();
    this.#answers.set(asked, answers);
    return answers;
  }
}
