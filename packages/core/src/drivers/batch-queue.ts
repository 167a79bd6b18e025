import type { Batch, DrawContext, JsonValue, Sampler } from '../contracts/sampler.js';
import type { RandomStream } from '../random/index.js';
import { bindSizes } from './noise.js';

export interface DrawnBatch {
  /** The step that it is for. */
  readonly step: number;
  readonly batch: Batch;
  /** Values of the named sizes of its columns. */
  readonly sizes: ReadonlyMap<string, number>;
  /** State of the sampler right after the draw, for checkpoints at this step. */
  readonly samplerState: JsonValue;
}

/** Whether two batches can be read by one program of fixed sizes. */
export const equalSizes = (a: DrawnBatch, b: DrawnBatch): boolean =>
  [...a.sizes].every(([name, size]) => b.sizes.get(name) === size);

/**
 * Batches in the order of the steps, drawn ahead where asked to. Draws never overlap, and each depends on seed and step
 * alone, so that drawing ahead changes nothing but when. Errors, and the end of the sampler, come in their turn.
 */
export class BatchQueue {
  readonly #waiting: Promise<DrawnBatch | undefined>[] = [];
  #next: number;

  constructor(
    readonly sampler: Sampler,
    readonly random: RandomStream,
    /** First and last step to draw for. */
    first: number,
    readonly last: number,
    /** What every draw sees besides its step and stream. */
    readonly context: Pick<DrawContext, 'signal' | 'values'> = {},
  ) {
    this.#next = first;
  }

  /** Begin to draw, until so many batches wait or come. */
  ahead(count: number): void {
    while (this.#waiting.length < count && this.#next <= this.last) {
      const step = this.#next++;
      const before = this.#waiting.at(-1);
      const drawn =
        before === undefined
          ? this.#draw(step)
          : before.then((previous) => (previous === undefined ? undefined : this.#draw(step)));
      // Looked at when its turn comes; an early failure must not count as unhandled.
      drawn.catch(() => undefined);
      this.#waiting.push(drawn);
    }
  }

  /** The batch whose turn it is; undefined once the sampler has ended. It stays until it is taken. */
  async peek(): Promise<DrawnBatch | undefined> {
    this.ahead(1);
    return this.#waiting[0];
  }

  /** Remove the batch whose turn it is. */
  take(): void {
    void this.#waiting.shift();
  }

  async #draw(step: number): Promise<DrawnBatch | undefined> {
    const { sampler, context } = this;
    const batch = await sampler.draw({ ...context, step, random: this.random.split(String(step)) });
    if (batch === undefined) return undefined;
    return { step, batch, sizes: bindSizes(sampler.columns, batch.columns), samplerState: sampler.state() };
  }

  /** Wait for what is being drawn and give all that was not taken back to the sampler. */
  async dispose(): Promise<void> {
    this.#next = this.last + 1;
    for (const drawn of await Promise.allSettled(this.#waiting.splice(0)))
      if (drawn.status === 'fulfilled') drawn.value?.batch.release?.();
  }
}
