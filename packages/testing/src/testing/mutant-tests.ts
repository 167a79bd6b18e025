import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { runKit, type CheckResult } from '../kit/contract-kit.js';
import type { Mutant, MutantFamily } from './mutants.js';

const TABLE = new URL('../../MUTANTS.md', import.meta.url);
/** Fewest wrong implementations of a contract, and the fewest of them that its kit must catch. */
const [FEWEST, CAUGHT] = [30, 27];

const failures = (results: readonly CheckResult[]): string[] =>
  results.flatMap((result) => (result.outcome === 'failed' ? [result.id] : []));

/** Faults that draw from the clock or from Math.random: which checks they fail beside the first one depends on the draw. */
const BY_CHANCE = /^(wall-clock|(score-)?unseeded(-\w+)?)$/;

/** What the table says about a fault. */
function caughtBy({ fault, unseen }: Mutant, found: readonly string[]): string {
  if (unseen !== undefined) return `nothing: ${unseen}`;
  return BY_CHANCE.test(fault) ? `${found[0] ?? 'nothing'}, others by chance` : found.join(', ');
}

/** The part of the table about a contract, with its heading. */
function section(contract: string, rows: readonly string[]): string {
  return [`## ${contract}`, '', '| Fault | What is wrong | Caught by |', '| --- | --- | --- |', ...rows, ''].join('\n');
}

/** The table with one section replaced, or added where it is new. */
function withSection(text: string, contract: string, next: string): string {
  const sections = text.split(/^(?=## )/m);
  const at = sections.findIndex((each) => each.startsWith(`## ${contract}\n`));
  if (at < 0) return `${text.trimEnd()}\n\n${next}`;
  sections[at] = at === sections.length - 1 ? next : `${next}\n`;
  return sections.join('');
}

/** Tests of a kit by the wrong implementations that it must catch and the right ones that it must pass. */
export function testMutants(family: MutantFamily): void {
  // Machines that run checks are busy.
  jest.setTimeout(600_000);
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu', threads: 1 });
  });
  afterAll(() => backend.dispose());

  describe(`the kit for ${family.contract}`, () => {
    test('passes what is right', async () => {
      for (const kit of family.correct(backend)) {
        const results = await runKit(kit);
        expect(
          results.flatMap((result) => (result.outcome === 'failed' ? [`${result.id}: ${result.error.message}`] : [])),
        ).toEqual([]);
      }
    });

    test('catches what is wrong, as the table of mutants says', async () => {
      const rows: string[] = [];
      const missed: string[] = [];
      let caught = 0;
      for (const mutant of family.mutants) {
        const { fault, wrong, unseen } = mutant;
        const found = failures(await runKit(family.kit(fault, backend)));
        if (found.length > 0) caught++;
        if ((found.length === 0) !== (unseen !== undefined)) missed.push(fault);
        rows.push(`| ${fault} | ${wrong.replaceAll('|', '\\|')} | ${caughtBy(mutant, found)} |`);
      }
      expect(missed).toEqual([]);
      expect(family.mutants.length).toBeGreaterThanOrEqual(FEWEST);
      expect(caught).toBeGreaterThanOrEqual(CAUGHT);
      const text = readFileSync(TABLE, 'utf8');
      const expected = withSection(text, family.contract, section(family.contract, rows));
      // `UPDATE_MUTANTS=1 npm run jest -- -i packages/testing` writes the table anew.
      if (process.env['UPDATE_MUTANTS'] !== undefined) writeFileSync(TABLE, expected);
      else expect(text).toBe(expected);
    });
  });
}
