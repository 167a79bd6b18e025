import { distance } from 'fastest-levenshtein';

/** Known names nearest to a mistyped one, best first: those within a third of its length, but at least the nearest. */
export function nearestNames(name: string, known: readonly string[], limit = 3): string[] {
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  const bound = Math.max(2, Math.floor(name.length / 3), ranked[0]?.far ?? 0);
  return ranked
    .filter(({ far }) => far <= bound)
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

/** `Did you mean "adam" or "adamw"?`, or an empty text where nothing is known. */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = nearestNames(name, known).map((candidate) => `"${candidate}"`);
  return near.length === 0 ? '' : `did you mean ${near.join(' or ')}?`;
}
