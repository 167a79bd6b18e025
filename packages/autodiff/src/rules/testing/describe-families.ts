import { describe, expect, test } from '@jest/globals';
import { FAMILIES } from './cases/index.js';
import { CASES, checkRandomCases } from './random-cases.js';

/** A busy machine takes much longer than a quiet one, where an operator takes a second or two. */
const PATIENCE = 600_000;

/** A test per operator of these families, all of its random cases in it. */
export function describeFamilies(...families: readonly (keyof typeof FAMILIES)[]): void {
  describe.each(families)('%s', (family) => {
    test.each(FAMILIES[family].map((cases) => [cases.operator, cases] as const))(
      `derivatives of %s are those of its reference: ${CASES} random cases`,
      async (_, cases) => {
        const { cases: count, failures } = await checkRandomCases(cases);
        expect(failures).toEqual([]);
        expect(count).toBe(CASES);
      },
      PATIENCE,
    );
  });
}
