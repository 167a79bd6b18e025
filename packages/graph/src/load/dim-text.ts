import { dimAdd, dimFloorDivide, dimMax, dimMin, dimMultiply, dimSubtract, symbol, type Dim } from '../dimension.js';

/**
 * Reads a dimension as Updraft writes it: a sum of products of names and integers, `floor((a)/b)`, `max(a,b)`,
 * `min(a,b)`. Any other text is a name.
 */
export function parseDim(text: string): Dim {
  if (/^[A-Za-z_][\w.:]*$/.test(text)) return symbol(text);
  const parser = new Parser(text);
  const dim = parser.sum(0);
  // Only what is written in normal form is an expression; so a saved file means what the graph meant.
  return dim !== undefined && parser.done && String(dim) === text ? dim : symbol(text);
}

const MAX_NESTING = 50;

class Parser {
  #at = 0;
  constructor(readonly text: string) {}
  get done(): boolean {
    return this.#at === this.text.length;
  }
  #take(token: string): boolean {
    if (!this.text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  sum(depth: number): Dim | undefined {
    if (depth > MAX_NESTING) return undefined;
    let total: Dim = 0;
    for (let first = true; ; first = false) {
      const negative = this.#take('-');
      if (!negative && !first && !this.#take('+')) return total;
      const product = this.#product(depth);
      if (product === undefined) return undefined;
      total = negative ? dimSubtract(total, product) : dimAdd(total, product);
    }
  }

  #product(depth: number): Dim | undefined {
    let product: Dim = 1;
    do {
      const factor = this.#factor(depth);
      if (factor === undefined) return undefined;
      product = dimMultiply(product, factor);
    } while (this.#take('*'));
    return product;
  }

  #factor(depth: number): Dim | undefined {
    const digits = this.#match(/\d{1,15}/y);
    if (digits !== undefined) return Number(digits);
    if (this.#take('floor((')) {
      const left = this.sum(depth + 1);
      if (left === undefined || !this.#take(')/')) return undefined;
      const wrapped = this.#take('(');
      const right = this.sum(depth + 1);
      if (right === undefined || right === 0 || (wrapped && !this.#take(')')) || !this.#take(')')) return undefined;
      return dimFloorDivide(left, right);
    }
    for (const [word, combine] of [
      ['max(', dimMax],
      ['min(', dimMin],
    ] as const)
      if (this.#take(word)) {
        const left = this.sum(depth + 1);
        if (left === undefined || !this.#take(',')) return undefined;
        const right = this.sum(depth + 1);
        if (right === undefined || !this.#take(')')) return undefined;
        return combine(left, right);
      }
    const name = this.#match(/[A-Za-z_][\w.:]*/y);
    return name === undefined ? undefined : symbol(name);
  }
}
