import { CoreError } from '../errors.js';

/** A formula as a tree. */
export type Expression =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly items: readonly Expression[] }
  | { readonly kind: 'negate'; readonly item: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'index'; readonly item: Expression; readonly axes: readonly AxisIndex[] };

export type BinaryOperator = '+' | '-' | '*' | '/' | '@' | '^' | '<' | '<=' | '>' | '>=' | '==';

/** One position of an axis, which goes, or a range of them, which stays. Undefined ends reach to the edge. */
export type AxisIndex =
  { readonly at: number } | { readonly from: number | undefined; readonly to: number | undefined };

interface Token {
  readonly kind: 'number' | 'name' | 'sign' | 'end';
  readonly text: string;
  readonly at: number;
}

// Names may hold dots (`dense.weight`); others are quoted.
const TOKEN =
  /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*)|'([^']*)'|(\*\*|<=|>=|==|[-+*/@^<>()[\],:]))/uy;

/** Binding strength of operators between two operands; power binds to the right and is treated apart. */
const STRENGTH: Readonly<Record<string, number>> = {
  '<': 1,
  '<=': 1,
  '>': 1,
  '>=': 1,
  '==': 1,
  '+': 2,
  '-': 2,
  '*': 3,
  '/': 3,
  '@': 3,
};

/** Deeper nesting than any formula of a person has; the parser must not run out of stack. */
const DEEPEST = 200;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null)
      throw new CoreError(
        'probe',
        `The formula "${text}" has "${text.slice(at).trim().charAt(0)}" at position ${at + 1}.`,
        {
          hint: 'Formulas have numbers, names, calls, [indices], and + - * / @ ^ < <= > >= ==.',
        },
      );
    const [, number, name, quoted, sign] = match;
    if (number !== undefined) found.push({ kind: 'number', text: number, at });
    else if (name !== undefined) found.push({ kind: 'name', text: name, at });
    else if (quoted !== undefined) found.push({ kind: 'name', text: quoted, at });
    else found.push({ kind: 'sign', text: sign === '**' ? '^' : (sign as string), at });
  }
  found.push({ kind: 'end', text: '', at: text.length });
  return found;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(readonly text: string) {
    this.#tokens = tokens(text);
  }

  get #token(): Token {
    return this.#tokens[this.#next] as Token;
  }

  #fail(expected: string): never {
    const { kind, text, at } = this.#token;
    throw new CoreError(
      'probe',
      `The formula "${this.text}" has ${kind === 'end' ? 'its end' : `"${text}"`} at position ${at + 1}, where ${expected} is expected.`,
    );
  }
  #is(sign: string): boolean {
    return this.#token.kind === 'sign' && this.#token.text === sign;
  }
  #take(sign: string): boolean {
    if (!this.#is(sign)) return false;
    this.#next++;
    return true;
  }
  #need(sign: string): void {
    if (!this.#take(sign)) this.#fail(`"${sign}"`);
  }

  whole(): Expression {
    const result = this.#binary(1);
    if (this.#token.kind !== 'end') this.#fail('an operator or the end');
    return result;
  }

  #binary(least: number): Expression {
    if (++this.#depth > DEEPEST) this.#fail('less nesting');
    let left = this.#unary();
    for (;;) {
      const { kind, text } = this.#token;
      const strength = kind === 'sign' ? STRENGTH[text] : undefined;
      if (strength === undefined || strength < least) break;
      this.#next++;
      left = { kind: 'binary', operator: text as BinaryOperator, left, right: this.#binary(strength + 1) };
    }
    this.#depth--;
    return left;
  }

  /** A sign binds less than a power: -x^2 is -(x^2). */
  #unary(): Expression {
    if (++this.#depth > DEEPEST) this.#fail('less nesting');
    let result: Expression;
    if (this.#take('-')) result = { kind: 'negate', item: this.#unary() };
    else if (this.#take('+')) result = this.#unary();
    else {
      result = this.#postfix();
      if (this.#take('^')) result = { kind: 'binary', operator: '^', left: result, right: this.#unary() };
    }
    this.#depth--;
    return result;
  }

  #postfix(): Expression {
    let item = this.#primary();
    while (this.#take('[')) {
      const axes = this.#list(']', () => this.#axis());
      if (axes.length === 0) this.#fail('an index');
      item = { kind: 'index', item, axes };
    }
    return item;
  }

  #primary(): Expression {
    const { kind, text } = this.#token;
    if (kind === 'number') {
      this.#next++;
      return { kind: 'number', value: Number(text) };
    }
    if (kind === 'name') {
      this.#next++;
      if (!this.#take('(')) return { kind: 'name', name: text };
      return { kind: 'call', name: text, items: this.#list(')', () => this.#binary(1)) };
    }
    if (this.#take('(')) {
      const inner = this.#binary(1);
      this.#need(')');
      return inner;
    }
    if (this.#take('[')) return { kind: 'list', items: this.#list(']', () => this.#binary(1)) };
    return this.#fail('a number, a name or "("');
  }

  #list<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.#take(end)) return items;
    do items.push(item());
    while (this.#take(','));
    this.#need(end);
    return items;
  }

  #axis(): AxisIndex {
    const from = this.#is(':') ? undefined : this.#integer();
    if (!this.#take(':')) return { at: from as number };
    return { from, to: this.#is(',') || this.#is(']') ? undefined : this.#integer() };
  }

  #integer(): number {
    const negative = this.#take('-');
    const value = this.#token.kind === 'number' ? Number(this.#token.text) : NaN;
    if (!Number.isSafeInteger(value)) this.#fail('a whole number');
    this.#next++;
    return negative ? -value : value;
  }
}

/**
 * Read a formula such as `0.5 * sum((x @ W + b - y)^2)`: numbers, names (`'in quotes'` where they have other signs than
 * letters, digits, dots and underscores), calls, lists, indices from 0 (`x[0]`, `x[:, 1:3]`), and, from weak to strong,
 * comparisons, `+ -`, `* / @` (matrix product), signs, and `^` or `**`.
 *
 * @throws CoreError with the position of what cannot be read.
 */
export const parseExpression = (text: string): Expression => new Parser(text).whole();

/** Names that a formula uses, functions apart, in order of appearance. */
export function expressionNames(expression: Expression): string[] {
  const names = new Set<string>();
  const visit = (part: Expression): void => {
    switch (part.kind) {
      case 'number':
        return;
      case 'name':
        names.add(part.name);
        return;
      case 'list':
      case 'call':
        part.items.forEach(visit);
        return;
      case 'negate':
      case 'index':
        visit(part.item);
        return;
      case 'binary':
        visit(part.left);
        visit(part.right);
    }
  };
  visit(expression);
  return [...names];
}
