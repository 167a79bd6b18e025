/**
 * Calls a source before its results are asked for: one call in each turn of the event loop, after the code that took the
 * last result has started what it waits for. A failure is thrown where its result would have come.
 */
export class ReadAhead<T> {
  readonly #queue: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #ended = false;

  constructor(
    readonly source: () => T | undefined,
    /** Results to hold ready. */
    readonly count: number,
  ) {}

  #fill(): void {
    const result = this.source();
    if (result === undefined) this.#ended = true;
    else this.#queue.push(result);
  }

  #schedule(): void {
    if (this.#ended || this.#failure !== undefined || this.#queue.length >= this.count) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        this.#fill();
      } catch (error) {
        this.#failure = { error };
      }
      this.#schedule();
    }, 0);
  }

  /** The next result; undefined at the end. */
  take(): T | undefined {
    if (this.#queue.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (!this.#ended) this.#fill();
    }
    const result = this.#queue.shift();
    this.#schedule();
    return result;
  }

  /** Read nothing more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#ended = true;
  }
}
