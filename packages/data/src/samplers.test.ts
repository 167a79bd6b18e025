import { expect, test } from '@jest/globals';
import { OptionsError, PluginRegistry, RandomStream, type Sampler } from '@updraft/core';
import * as data from './index.js';
import { fromArrays, inOrder, provideDataset, shuffled } from './index.js';

const dataset = fromArrays({ x: { values: Array.from({ length: 10 }, (_, index) => [index]) } });
const registry = new PluginRegistry().use(data, '@updraft/data');

async function drawn(sampler: Sampler, batches: number): Promise<(number[] | undefined)[]> {
  const random = RandomStream.fromSeed(5);
  const values: (number[] | undefined)[] = [];
  for (let step = 1; step <= batches; step++) {
    const batch = await sampler.draw({ step, random });
    values.push(batch === undefined ? undefined : Array.from(batch.columns['x']?.data as Float32Array));
  }
  return values;
}

test('a sampler by name draws what the one from code draws', async () => {
  const options = { batchSize: 3, seed: 7, epochs: 2 };
  const byName = registry.create('sampler', 'shuffled', options, provideDataset(dataset));
  const batches = await drawn(byName, 7);
  expect(batches).toEqual(await drawn(shuffled(dataset, options), 7));
  // Two epochs of three whole batches: each holds nine different examples of the ten.
  expect(batches[6]).toBeUndefined();
  for (const epoch of [batches.slice(0, 3), batches.slice(3, 6)]) expect(new Set(epoch.flat()).size).toBe(9);
});

test('in order, every example comes once, whatever the batch size', async () => {
  const byName = registry.create('sampler', 'in-order', { batchSize: 4 }, provideDataset(dataset));
  expect(await drawn(byName, 4)).toEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], undefined]);
  expect(await drawn(inOrder(dataset, 400), 2)).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], undefined]);
});

test('mistakes are answered with what is known', () => {
  const make = (name: string, options: unknown) => registry.create('sampler', name, options, provideDataset(dataset));
  expect(() => make('shufled', {})).toThrow('There is no sampler named "shufled". Did you mean "shuffled"?');
  expect(() => make('shuffled', { batchsize: 3 })).toThrow('did you mean "batchSize"?');
  expect(() => make('shuffled', { batchSize: 2.5 })).toThrow(OptionsError);
  expect(() => make('shuffled', { batchSize: 11 })).toThrow('The batch size is 11 for 10 examples.');
  expect(() => registry.create('sampler', 'shuffled', {})).toThrow(
    'The sampler "shuffled" was given no dataset to draw from. Make it in a container that has one: provideDataset(',
  );
});
