import { expect, test } from '@jest/globals';
import { z } from 'zod';
import type { ParameterSpec } from '../module/parameter.js';
import { parseOptions } from './parse-options.js';
import { chosenParameters, parameterChoice } from './parameter-choice.js';

const spec = (name: string, role: ParameterSpec['role']): ParameterSpec => ({
  name,
  role,
  shape: [2],
  dataType: 'float32',
  layer: 'dense',
  initialize: () => new Float32Array(2),
});
const specs = { 'dense.weight': spec('dense.weight', 'weight'), 'dense.bias': spec('dense.bias', 'bias') };

test('parameters are chosen by a function, by name, or all', () => {
  expect([...chosenParameters(undefined, specs)]).toEqual(['dense.weight', 'dense.bias']);
  expect([...chosenParameters(({ role }) => role === 'bias', specs)]).toEqual(['dense.bias']);
  expect([...chosenParameters(['dense.weight'], specs)]).toEqual(['dense.weight']);
  expect([...chosenParameters([], specs)]).toEqual([]);
});

test('a name that the model does not have is refused with the nearest one', () => {
  expect(() => chosenParameters(['dense.wieght'], specs)).toThrow(/"dense.wieght".*did you mean "dense.weight"/s);
});

test('the option takes functions and lists of names', () => {
  const schema = z.object({ mask: parameterChoice().optional().describe('Which.') });
  const choice = (): boolean => true;
  expect(parseOptions(schema, { mask: choice }, 'x').mask).toBe(choice);
  expect(parseOptions(schema, { mask: ['a'] }, 'x').mask).toEqual(['a']);
  expect(() => parseOptions(schema, { mask: 'a' }, 'x')).toThrow(/"mask" expected/);
  expect(() => parseOptions(schema, { mask: [1] }, 'x')).toThrow(/"mask/);
});
