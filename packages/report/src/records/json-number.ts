/** JSON has no literal for these; the strings are the ones that Updraft's golden files use as well. */
const names = new Map<string, number>([
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
]);

/** A `JSON.stringify` replacer that keeps NaN and infinities, which JSON would turn into null. */
export function replaceNonFinite(_key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
}

/** The number that a JSON value stands for, or undefined if it is none. */
export function readNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : typeof value === 'string' ? names.get(value) : undefined;
}

/** Rounds to a number of significant digits, so that an embedded series takes less room. */
export function roundTo(value: number, digits: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(digits)) : value;
}
