import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { CoreError } from '../errors.js';
import {
  defineOptions,
  describeOptions,
  optionsJsonSchema,
  OptionsError,
  parseOptions,
  scalar,
  scalarAt,
  serialiseOptions,
  type Schedule,
  type SerialisedSchedule,
} from './index.js';

const schema = defineOptions({
  learningRate: scalar({ above: 0 }).default(0.1).describe('Step size.'),
  beta: z.number().min(0).lt(1).default(0.9).describe('Decay.'),
  layers: z.number().int().positive().describe('Number of layers.'),
  mode: z.enum(['fast', 'exact']).default('fast').describe('How.'),
  nested: z
    .object({ width: z.number().min(1) })
    .optional()
    .describe('More.'),
  groups: z
    .array(z.object({ name: z.string().min(1) }))
    .optional()
    .describe('Several.'),
  decay: z
    .custom<(name: string) => boolean>((value) => typeof value === 'function', 'expected a function')
    .default(() => () => true)
    .describe('Which.'),
});

function problemsOf(input: unknown): readonly { path: string; expected: string; got: string; message: string }[] {
  try {
    parseOptions(schema, input, 'lion');
  } catch (error) {
    if (error instanceof OptionsError) return error.problems;
    throw error;
  }
  return [];
}

describe('parseOptions', () => {
  test('fills in defaults', () => {
    expect(parseOptions(schema, { layers: 2 }, 'lion')).toMatchObject({
      learningRate: 0.1,
      beta: 0.9,
      layers: 2,
      mode: 'fast',
    });
  });

  test('lists every problem with path, expectation and what was given', () => {
    const problems = problemsOf({
      learningRat: 1,
      beta: 1,
      layers: 1.5,
      mode: 'exacd',
      nested: { width: '3', wdith: 1 },
    });
    expect(problems.map(({ path, expected, got }) => [path, expected, got])).toEqual([
      ['learningRat', 'one of learningRate, beta, layers, mode, nested, groups, decay', '1'],
      ['nested.wdith', 'one of width', '1'],
      ['beta', 'a number below 1', '1'],
      ['layers', 'a whole number', '1.5'],
      ['mode', 'one of "fast", "exact"', '"exacd"'],
      ['nested.width', 'a number', '"3"'],
    ]);
    expect(problems[0]?.message).toContain('there is no option "learningRat"; did you mean "learningRate"?');
    expect(problems[4]?.message).toContain('did you mean "exact"?');
  });

  test('names places in lists, missing options and wrong containers', () => {
    expect(
      problemsOf({ layers: 1, groups: [{ name: 'a' }, { name: '', size: 2 }] }).map(({ path, expected }) => [
        path,
        expected,
      ]),
    ).toEqual([
      ['groups.1.size', 'one of name'],
      ['groups.1.name', 'a text of at least 1 characters'],
    ]);
    expect(problemsOf({}).map(({ path, expected, got }) => [path, expected, got])).toEqual([
      ['layers', 'a number', 'nothing'],
    ]);
    expect(problemsOf('text')[0]).toMatchObject({ expected: 'an object', got: '"text"' });
    expect(problemsOf([])[0]).toMatchObject({ got: '[]' });
  });

  test.each([NaN, Infinity, -1, 0, '0.1', null, {}, { at: 3 }])('a scalar refuses %j', (learningRate) => {
    expect(problemsOf({ layers: 1, learningRate })[0]).toMatchObject({
      path: 'learningRate',
      expected: 'a number above 0 or a schedule',
    });
  });

  test('keys that reach into prototypes are unknown names', () => {
    expect(problemsOf(JSON.parse('{"layers":1,"__proto__":{"a":1},"constructor":2}')).map(({ path }) => path)).toEqual([
      '__proto__',
      'constructor',
    ]);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  test('circular and huge values are shown shortly', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    expect(problemsOf({ layers: circular })[0]?.got).toBe('an object');
    expect(problemsOf({ layers: 'x'.repeat(10_000) })[0]?.got.length).toBeLessThan(70);
  });
});

describe('schedules in options', () => {
  const schedules = (facts: SerialisedSchedule): Schedule => {
    if (facts['type'] !== 'double') throw new CoreError('options', 'There is no such schedule.');
    return { at: (step) => 2 * step, describe: () => facts };
  };

  test('a schedule object passes, a serialised one is revived', () => {
    const own: Schedule = { at: (step) => step };
    expect(parseOptions(schema, { layers: 1, learningRate: own }, 'x').learningRate).toBe(own);
    const { learningRate } = parseOptions(schema, { layers: 1, learningRate: { type: 'double' } }, 'x', { schedules });
    expect(scalarAt(learningRate, 3)).toBe(6);
    expect(serialiseOptions({ learningRate, name: 'a', decay: () => true })).toEqual({
      learningRate: { type: 'double' },
      name: 'a',
    });
  });

  test('one that cannot be revived is a problem like others', () => {
    expect(() => parseOptions(schema, { layers: 0, learningRate: { type: 'triple' } }, 'x', { schedules })).toThrow(
      /"learningRate": There is no such schedule; "layers" expected a number above 0, got 0/,
    );
    expect(problemsOf({ layers: 1, learningRate: { type: 'double' } })).toHaveLength(1);
  });
});

test('describeOptions gives what documentation shows', () => {
  expect(describeOptions(schema)).toEqual([
    {
      name: 'learningRate',
      type: 'number | schedule',
      default: '0.1',
      range: 'above 0',
      required: false,
      description: 'Step size.',
    },
    {
      name: 'beta',
      type: 'number',
      default: '0.9',
      range: 'at least 0 and below 1',
      required: false,
      description: 'Decay.',
    },
    {
      name: 'layers',
      type: 'integer',
      default: '',
      range: 'above 0',
      required: true,
      description: 'Number of layers.',
    },
    { name: 'mode', type: 'fast | exact', default: '"fast"', range: '', required: false, description: 'How.' },
    { name: 'nested', type: 'object', default: '', range: '', required: false, description: 'More.' },
    { name: 'groups', type: 'list of object', default: '', range: '', required: false, description: 'Several.' },
    { name: 'decay', type: 'value in code', default: '(function)', range: '', required: false, description: 'Which.' },
  ]);
});

test('the JSON schema holds what a file can hold', () => {
  const { properties, required, additionalProperties } = optionsJsonSchema(schema) as {
    properties: Record<string, unknown>;
    required: string[];
    additionalProperties: boolean;
  };
  expect(required).toEqual(['layers']);
  expect(additionalProperties).toBe(false);
  expect(Object.keys(properties)).toEqual(['learningRate', 'beta', 'layers', 'mode', 'nested', 'groups']);
  expect(properties['beta']).toEqual({
    type: 'number',
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0.9,
    description: 'Decay.',
  });
  expect(properties['learningRate']).toMatchObject({
    default: 0.1,
    anyOf: [{ type: 'number', exclusiveMinimum: 0 }, { type: 'object' }],
  });
});

test('options without a description are refused where they are defined', () => {
  expect(() => defineOptions({ rate: z.number().default(1) })).toThrow(/no description: "rate"/);
});
