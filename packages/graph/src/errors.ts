/** What an {@link UpdraftError} carries besides its message. */
export interface UpdraftErrorOptions {
  /** What the user can do about it; appended to the message. */
  readonly hint?: string;
  /** Machine-readable facts: names, values, limits. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * Base class of every error that Updraft throws on purpose. The message says what is wrong and where;
 * the hint says what to do. `code` is stable and may be matched on.
 */
export class UpdraftError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: UpdraftErrorOptions = {}) {
    super(
      options.hint === undefined ? message : `${message} ${options.hint}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}
