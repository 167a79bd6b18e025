import { closeSync, ftruncateSync, fstatSync, openSync, writeSync } from 'node:fs';
import { MetricsSinkError } from '../errors.js';

/** How an {@link AppendFile} is opened. */
export interface AppendFileOptions {
  /** `a` appends or creates, `ax` creates and fails where a file exists, `w` replaces. */
  readonly flags: 'a' | 'ax' | 'w';
  /** The longest time that bytes wait in memory, in milliseconds. Default 500. */
  readonly flushInterval?: number;
}

const capacity = 64 * 1024;

/** Files that hold bytes in memory; they are flushed when the process ends by itself or by an uncaught error. */
const openFiles = new Set<AppendFile>();

function flushAll(): void {
  for (const file of openFiles) {
    try {
      file.flush();
    } catch {
      // The process is ending; there is nobody left to tell.
    }
  }
}

/**
 * A file that only grows. Appending copies into memory; the bytes go to the operating system in one write when the
 * buffer is full, when they are older than the flush interval, or on `flush`. A write that fails is taken back, so
 * that the file always ends with a whole record.
 */
export class AppendFile {
  readonly #path: string;
  readonly #flushInterval: number;
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(capacity);
  #used = 0;
  /** Length of the file after the last write that succeeded. */
  #length: number;
  #oldest = 0;
  #timer: NodeJS.Timeout | undefined;
  #failure: MetricsSinkError | undefined;
  #closed = false;

  /** @throws MetricsSinkError if the file cannot be opened */
  constructor(path: string, options: AppendFileOptions) {
    this.#path = path;
    this.#flushInterval = options.flushInterval ?? 500;
    try {
      this.#descriptor = openSync(path, options.flags);
      this.#length = fstatSync(this.#descriptor).size;
    } catch (cause) {
      throw openError(path, cause);
    }
    if (openFiles.size === 0) process.on('exit', flushAll);
    openFiles.add(this);
  }

  /** @throws MetricsSinkError if this or an earlier write failed, or after `close` */
  append(data: string | Uint8Array): void {
    this.#assertWritable();
    // A UTF-16 unit takes at most three bytes in UTF-8.
    const most = typeof data === 'string' ? data.length * 3 : data.length;
    if (this.#used + most > capacity) this.flush();
    if (most > capacity) {
      this.#writeOut(typeof data === 'string' ? Buffer.from(data) : data);
      return;
    }
    if (this.#used === 0) this.#oldest = performance.now();
    if (typeof data === 'string') this.#used += this.#buffer.write(data, this.#used);
    else {
      this.#buffer.set(data, this.#used);
      this.#used += data.length;
    }
    if (performance.now() - this.#oldest > this.#flushInterval) this.flush();
    else this.#timer ??= this.#startTimer();
  }

  /** Hands all bytes to the operating system. @throws MetricsSinkError if that fails */
  flush(): void {
    this.#assertWritable();
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#used === 0) return;
    const used = this.#used;
    this.#used = 0;
    this.#writeOut(this.#buffer.subarray(0, used));
  }

  /** Flushes and closes; the descriptor is given back even if the flush fails. Closing twice is allowed. */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#failure === undefined) this.flush();
    } finally {
      this.#closed = true;
      if (this.#timer !== undefined) clearTimeout(this.#timer);
      openFiles.delete(this);
      if (openFiles.size === 0) process.off('exit', flushAll);
      closeSync(this.#descriptor);
    }
  }

  #assertWritable(): void {
    if (this.#closed) {
      throw new MetricsSinkError(`${this.#path} was closed.`, { hint: 'Write before `close`.' });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #startTimer(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      try {
        this.flush();
      } catch {
        // Kept in #failure; the next append throws it where somebody can catch it.
      }
    }, this.#flushInterval);
    // Metrics must not keep a finished process alive.
    timer.unref();
    return timer;
  }

  #writeOut(bytes: Uint8Array): void {
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
      this.#length += written;
    } catch (cause) {
      try {
        ftruncateSync(this.#descriptor, this.#length);
      } catch {
        // A reader ignores a torn last record, and a resumed run removes it.
      }
      this.#failure = new MetricsSinkError(`Cannot write metrics to ${this.#path}: ${messageOf(cause)}.`, {
        hint: 'Free disk space or choose another folder, then resume from the last checkpoint.',
        details: { path: this.#path },
        cause,
      });
      throw this.#failure;
    }
  }
}

function openError(path: string, cause: unknown): MetricsSinkError {
  const exists = typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'EEXIST';
  return new MetricsSinkError(
    exists ? `${path} holds the metrics of an earlier run.` : `Cannot open ${path}: ${messageOf(cause)}.`,
    {
      hint: exists
        ? 'Pass `resumeAt` to go on with it, `replace: true` to start anew, or choose another path.'
        : 'Check that the folder exists and can be written.',
      details: { path },
      cause,
    },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
