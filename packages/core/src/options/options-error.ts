import { UpdraftError } from '@updraft/graph';

/** One thing that is wrong with given options. */
export interface OptionProblem {
  /** Where in the options, such as `momentum` or `layers.2.width`. */
  readonly path: string;
  readonly expected: string;
  /** What was given instead, as text. */
  readonly got: string;
  /** The sentence that the error shows. */
  readonly message: string;
}

/** Options that do not fit their schema; lists every problem. */
export class OptionsError extends UpdraftError {
  constructor(
    /** Whose options: a plugin, a command, a file. */
    readonly where: string,
    readonly problems: readonly OptionProblem[],
  ) {
    const text = problems.map(({ message }) => message).join('; ');
    super('options', `${where}: ${text}${text.endsWith('?') ? '' : '.'}`, { details: { where, problems } });
  }
}

const LONGEST = 60;

/** A value as an error shows it: short, and never a failure of its own. */
export function valueText(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing';
    case 'function':
      return 'a function';
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    default: {
      let text: string;
      try {
        text = JSON.stringify(value);
      } catch {
        // Circular, or with a toJSON that throws.
        text = 'an object';
      }
      return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
    }
  }
}
