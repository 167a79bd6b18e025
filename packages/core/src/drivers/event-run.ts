import { CoreError } from '../errors.js';

/** A run in progress: iterate it for its events, or await `result()`; both may be done. Leaving the loop early ends it. */
export class EventRun<Event, Result extends object> implements AsyncIterable<Event> {
  readonly #events: AsyncGenerator<Event, Result, void>;
  #result: Result | undefined;

  constructor(events: AsyncGenerator<Event, Result, void>) {
    this.#events = events;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Event> {
    try {
      for (;;) {
        const next = await this.#events.next();
        if (next.done === true) {
          this.#result = next.value ?? this.#result;
          return;
        }
        yield next.value;
      }
    } finally {
      // Leaving the loop early ends the run and frees its memory.
      if (this.#result === undefined) await this.#events.return(undefined as never);
    }
  }

  /** Run to the end. @throws CoreError when the events were left before their end. */
  async result(): Promise<Result> {
    while (this.#result === undefined) {
      const next = await this.#events.next();
      if (next.done !== true) continue;
      if (next.value === undefined)
        throw new CoreError('run', 'The run was left before its end, so it has no result.', {
          hint: 'Iterate its events to the end, or await result() instead.',
        });
      this.#result = next.value;
    }
    return this.#result;
  }
}
