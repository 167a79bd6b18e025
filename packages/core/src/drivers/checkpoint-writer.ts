import type { Checkpoint, CheckpointStore } from '../checkpoint/index.js';
import type { CheckpointEvent } from '../events/index.js';

/**
 * Writes checkpoints while training goes on: only the copy of the tensors is waited for. One checkpoint at a time is
 * being written; asking for the next one waits for it.
 */
export class CheckpointWriter {
  #writing: Promise<void> | undefined;
  #complete: CheckpointEvent[] = [];
  #failure: { readonly error: unknown } | undefined;
  #begun = false;

  /** @param fresh The run does not continue from this store: its first checkpoint sets earlier ones aside. */
  constructor(
    readonly store: CheckpointStore,
    readonly fresh: boolean,
  ) {}

  /** Name of the newest checkpoint that is complete. */
  last: string | undefined;

  /** Copy what is to be kept, and begin to write it. */
  async begin(step: number, take: () => Promise<Checkpoint>): Promise<void> {
    const begin = performance.now();
    await this.settle();
    if (this.#failure !== undefined) return;
    const checkpoint = await take();
    const blockedMilliseconds = performance.now() - begin;
    this.#writing = this.#write(step, checkpoint, begin, blockedMilliseconds);
  }

  async #write(step: number, checkpoint: Checkpoint, begin: number, blockedMilliseconds: number): Promise<void> {
    try {
      if (this.fresh && !this.#begun) await this.store.setAside?.();
      this.#begun = true;
      const name = await this.store.save(checkpoint);
      this.last = name;
      this.#complete.push({
        type: 'checkpoint',
        step,
        name,
        milliseconds: performance.now() - begin,
        blockedMilliseconds,
      });
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** Checkpoints that became complete since the last call. @throws what went wrong with one. */
  completed(): readonly CheckpointEvent[] {
    if (this.#failure !== undefined) throw this.#failure.error;
    const events = this.#complete;
    if (events.length > 0) this.#complete = [];
    return events;
  }

  /** Wait until nothing is being written. Never rejects: `completed` tells what went wrong. */
  async settle(): Promise<void> {
    await this.#writing;
    this.#writing = undefined;
  }
}
