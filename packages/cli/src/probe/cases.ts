import { compareResult, parseOptions, type Comparison } from '@updraft/core';
import { UpdraftError } from '@updraft/graph';
import { z } from 'zod';
import { CliError } from '../errors.js';
import type { Prober } from './run-probe.js';

const contracts = ['update-rule', 'sampler', 'reward', 'aggregator'] as const;

const caseSchema = z.object({
  name: z.string().optional().describe('What the case shows; default: its number.'),
  plugin: z.string().optional().describe('What to probe; default: what the command names.'),
  contract: z.enum(contracts).optional().describe('Contract, where several plugins have the name.'),
  input: z.record(z.string(), z.unknown()).describe('Input of the probe.'),
  expected: z.unknown().optional().describe('The part of the result that is expected.'),
  error: z.string().optional().describe('A text that is part of the expected error, instead of a result.'),
  tolerance: z
    .union([
      z.number().min(0),
      z.object({ absolute: z.number().min(0).optional(), relative: z.number().min(0).optional() }),
    ])
    .optional()
    .describe('How far numbers may be off: absolutely (a number), or absolute + relative · |expected|.'),
});
const fileSchema = z.object({
  origin: z.string().optional().describe('Where the expected values come from.'),
  cases: z.array(caseSchema).min(1).describe('The cases.'),
});
type Case = z.output<typeof caseSchema>;

/** What became of a case. */
export interface CaseResult {
  readonly name: string;
  readonly passed: boolean;
  readonly problems: readonly string[];
  readonly largestError: number;
  readonly at: string;
}

/** Check a file of cases: a list, or an object with `cases`. @throws OptionsError */
export const parseCases = (json: unknown, where: string): readonly Case[] =>
  parseOptions(fileSchema, Array.isArray(json) ? { cases: json as unknown[] } : json, where).cases;

async function runCase(prober: Prober, one: Case, name: string, plugin: string | undefined): Promise<CaseResult> {
  const { input, expected, error: text, tolerance, contract } = one;
  const target = one.plugin ?? plugin;
  if (target === undefined) throw new CliError(`The case "${name}" does not say which plugin it is for.`);
  if ((expected === undefined) === (text === undefined))
    throw new CliError(`The case "${name}" expects ${text === undefined ? 'nothing' : 'both a result and an error'}.`, {
      hint: 'Give "expected", or "error".',
    });
  const failed = (problem: string): CaseResult => ({
    name,
    passed: false,
    problems: [problem],
    largestError: NaN,
    at: '',
  });
  let found: unknown;
  try {
    found = await prober.probe(target, input, contract);
  } catch (error) {
    if (!(error instanceof UpdraftError)) throw error;
    return text !== undefined && error.message.includes(text)
      ? { name, passed: true, problems: [], largestError: 0, at: '' }
      : failed(error.message);
  }
  if (text !== undefined) return failed(`there is a result, where the error "${text}" was expected`);
  const comparison: Comparison = compareResult(
    found,
    expected,
    // A single number says all that is allowed.
    typeof tolerance === 'number' ? { absolute: tolerance, relative: 0 } : (tolerance as object | undefined),
  );
  const { problems, largestError, at, compared } = comparison;
  // A case that compares nothing shows nothing.
  if (compared === 0 && problems.length === 0) return failed('"expected" holds no number to compare');
  return { name, passed: problems.length === 0, problems, largestError, at };
}

/** Run cases one after the other. @throws CliError for cases that are no cases. */
export async function* runCases(
  prober: Prober,
  cases: readonly Case[],
  plugin: string | undefined,
): AsyncGenerator<CaseResult> {
  for (const [index, one] of cases.entries()) yield await runCase(prober, one, one.name ?? `case ${index + 1}`, plugin);
}
