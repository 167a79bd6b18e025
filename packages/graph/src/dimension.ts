/**
 * Dimensions of symbolic shapes: an integer, or an integer polynomial over named sizes such as `batch`.
 * Polynomials have one normal form, so `batch * 2 * 392 / 2` and `392 * batch` are the same dimension; what a
 * polynomial cannot express (a floored division, a maximum) becomes an opaque atom that still compares and evaluates.
 */
import { UpdraftError } from './errors.js';

export type Dim = number | DimExpression;

type Atom =
  | { readonly kind: 'symbol'; readonly key: string }
  | { readonly kind: 'floorDivide' | 'max' | 'min'; readonly key: string; readonly left: Dim; readonly right: Dim };

interface Term {
  readonly coefficient: number;
  /** Sorted by key; an atom may occur several times. */
  readonly factors: readonly Atom[];
}

const termKey = (factors: readonly Atom[]): string => factors.map((atom) => atom.key).join('*');

/** An integer polynomial in symbolic sizes; immutable, in normal form. Build it with the functions of this file. */
export class DimExpression {
  /** Canonical text: equal expressions have equal text. */
  readonly text: string;

  private constructor(readonly terms: readonly Term[]) {
    this.text = terms
      .map(({ coefficient, factors }, index) => {
        const sign = coefficient < 0 ? '-' : index === 0 ? '' : '+';
        const magnitude = Math.abs(coefficient);
        const product = termKey(factors);
        return sign + (product === '' ? String(magnitude) : magnitude === 1 ? product : `${magnitude}*${product}`);
      })
      .join('');
  }

  static fromTerms(terms: readonly Term[]): Dim {
    const merged = new Map<string, Term>();
    for (const term of terms) {
      const key = termKey(term.factors);
      const coefficient = (merged.get(key)?.coefficient ?? 0) + term.coefficient;
      merged.set(key, { coefficient, factors: term.factors });
    }
    const kept = [...merged.entries()].filter(([, term]) => term.coefficient !== 0);
    if (kept.length === 0) return 0;
    const only = kept[0] as [string, Term];
    if (kept.length === 1 && only[0] === '') return only[1].coefficient;
    // The constant goes last: "batch+1" reads better than "1+batch".
    kept.sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1));
    return new DimExpression(kept.map(([, term]) => term));
  }

  toString(): string {
    return this.text;
  }
}

const atomOf = (atom: Atom): Dim => DimExpression.fromTerms([{ coefficient: 1, factors: [atom] }]);
const termsOf = (dim: Dim): readonly Term[] =>
  typeof dim === 'number' ? (dim === 0 ? [] : [{ coefficient: dim, factors: [] }]) : dim.terms;

/** A named size, for example `symbol('batch')`. */
export const symbol = (name: string): DimExpression => atomOf({ kind: 'symbol', key: name }) as DimExpression;

export const isStatic = (dim: Dim): dim is number => typeof dim === 'number';
export const dimEquals = (a: Dim, b: Dim): boolean => a === b || dimText(a) === dimText(b);
export const dimText = (dim: Dim): string => (typeof dim === 'number' ? String(dim) : dim.text);

export const dimAdd = (a: Dim, b: Dim): Dim =>
  typeof a === 'number' && typeof b === 'number' ? a + b : DimExpression.fromTerms([...termsOf(a), ...termsOf(b)]);

export const dimSubtract = (a: Dim, b: Dim): Dim => dimAdd(a, dimMultiply(b, -1));

export function dimMultiply(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b + 0; // + 0 turns -0 into 0
  return DimExpression.fromTerms(
    termsOf(a).flatMap((x) =>
      termsOf(b).map((y) => ({
        coefficient: x.coefficient * y.coefficient,
        factors: [...x.factors, ...y.factors].sort((p, q) => (p.key < q.key ? -1 : p.key > q.key ? 1 : 0)),
      })),
    ),
  );
}

export const dimProduct = (dims: readonly Dim[]): Dim => dims.reduce<Dim>(dimMultiply, 1);

/** Exact quotient when every term divides; undefined otherwise. */
function exactQuotient(a: Dim, b: Dim): Dim | undefined {
  const divisor = termsOf(b);
  if (divisor.length !== 1) return dimEquals(a, b) ? 1 : undefined;
  const { coefficient, factors } = divisor[0] as Term;
  const quotient: Term[] = [];
  for (const term of termsOf(a)) {
    if (term.coefficient % coefficient !== 0) return undefined;
    const rest = [...term.factors];
    for (const factor of factors) {
      const at = rest.findIndex((candidate) => candidate.key === factor.key);
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    quotient.push({ coefficient: term.coefficient / coefficient, factors: rest });
  }
  return DimExpression.fromTerms(quotient);
}

/** `floor(a / b)`; exact where the polynomial divides. */
export function dimFloorDivide(a: Dim, b: Dim): Dim {
  if (b === 0) throw new UpdraftError('shape', `Dimension ${dimText(a)} is divided by zero.`);
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  const exact = exactQuotient(a, b);
  if (exact !== undefined) return exact;
  // floor((k*q + r) / k) = q + floor(r / k): keeps convolution arithmetic in normal form.
  if (typeof b === 'number' && typeof a !== 'number') {
    const whole = a.terms.filter((term) => term.coefficient % b === 0 && term.factors.length > 0);
    const constant = a.terms.find((term) => term.factors.length === 0)?.coefficient ?? 0;
    if (whole.length > 0 || Math.floor(constant / b) !== 0) {
      const wholePart = dimAdd(
        DimExpression.fromTerms(whole.map((term) => ({ ...term, coefficient: term.coefficient / b }))),
        Math.floor(constant / b),
      );
      const rest = dimSubtract(a, dimMultiply(wholePart, b));
      return dimAdd(
        wholePart,
        typeof rest === 'number'
          ? Math.floor(rest / b)
          : atomOf({ kind: 'floorDivide', key: `floor((${rest.text})/${b})`, left: rest, right: b }),
      );
    }
  }
  return atomOf({ kind: 'floorDivide', key: `floor((${dimText(a)})/(${dimText(b)}))`, left: a, right: b });
}

export const dimCeilDivide = (a: Dim, b: Dim): Dim => dimMultiply(dimFloorDivide(dimMultiply(a, -1), b), -1);

function extreme(kind: 'max' | 'min', a: Dim, b: Dim): Dim {
  const difference = dimSubtract(a, b);
  if (typeof difference === 'number') return (kind === 'max') === difference >= 0 ? a : b;
  const [left, right] = dimText(a) < dimText(b) ? [a, b] : [b, a];
  return atomOf({ kind, key: `${kind}(${dimText(left)},${dimText(right)})`, left, right });
}
export const dimMax = (a: Dim, b: Dim): Dim => extreme('max', a, b);
export const dimMin = (a: Dim, b: Dim): Dim => extreme('min', a, b);

/** Replace symbols by sizes; symbols without a binding stay. */
export function dimSubstitute(dim: Dim, bindings: ReadonlyMap<string, Dim>): Dim {
  if (typeof dim === 'number') return dim;
  let sum: Dim = 0;
  for (const term of dim.terms) {
    let product: Dim = term.coefficient;
    for (const factor of term.factors) product = dimMultiply(product, atomSubstitute(factor, bindings));
    sum = dimAdd(sum, product);
  }
  return sum;
}

function atomSubstitute(atom: Atom, bindings: ReadonlyMap<string, Dim>): Dim {
  if (atom.kind === 'symbol') return bindings.get(atom.key) ?? atomOf(atom);
  const left = dimSubstitute(atom.left, bindings);
  const right = dimSubstitute(atom.right, bindings);
  return atom.kind === 'floorDivide' ? dimFloorDivide(left, right) : extreme(atom.kind, left, right);
}

/** Names of the symbols that a dimension depends on. */
export function dimSymbols(dim: Dim, into = new Set<string>()): Set<string> {
  if (typeof dim !== 'number')
    for (const term of dim.terms)
      for (const factor of term.factors)
        if (factor.kind === 'symbol') into.add(factor.key);
        else {
          dimSymbols(factor.left, into);
          dimSymbols(factor.right, into);
        }
  return into;
}
