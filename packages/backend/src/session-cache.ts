import type { InferenceSession } from 'onnxruntime-common';

interface Entry {
  readonly session: Promise<InferenceSession>;
  users: number;
}

/**
 * Sessions by content: programs with equal bytes and options share one, and the sessions that were used last stay
 * compiled, so that a second equal run compiles nothing.
 */
export class SessionCache {
  readonly #entries = new Map<string, Entry>();
  /** Sessions created so far. */
  compilations = 0;

  constructor(
    /** Unused sessions that stay compiled. */
    readonly kept = 16,
  ) {}

  async acquire(key: string, create: () => Promise<InferenceSession>): Promise<InferenceSession> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      this.compilations++;
      entry = { session: create(), users: 0 };
    }
    // Re-inserting keeps the map in order of last use.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await entry.session;
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  async release(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.users--;
    const unused = [...this.#entries].filter(([, { users }]) => users === 0);
    for (const [oldest, { session }] of unused.slice(0, Math.max(0, unused.length - this.kept))) {
      this.#entries.delete(oldest);
      await (await session).release();
    }
  }

  async dispose(): Promise<void> {
    const all = [...this.#entries.values()];
    this.#entries.clear();
    for (const { session } of all) await (await session).release();
  }
}

/** Content key of a program: SHA-256 of its bytes and of everything else that changes what is compiled. */
export async function contentKey(bytes: Uint8Array<ArrayBuffer>, options: unknown): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('') + JSON.stringify(options);
}
