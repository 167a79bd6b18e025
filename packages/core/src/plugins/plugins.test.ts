import { describe, expect, test } from '@jest/globals';
import { container as root, inject } from 'tsyringe';
import { z } from 'zod';
import type { UpdateRule } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import { defaultLinearAlgebra, type LinearAlgebra } from '../linear-algebra/index.js';
import { OptionsError, scalar, scalarAt } from '../options/index.js';
import { RandomStream } from '../random/index.js';
import {
  createContainer,
  instantiatePlugin,
  LINEAR_ALGEBRA,
  OPTIONS,
  plugin,
  pluginFactory,
  pluginMetadata,
  PluginRegistry,
  RANDOM,
  systemClock,
} from './index.js';

const lionOptions = z.object({ learningRate: scalar({ min: 0 }).default(0.1).describe('Rate.') });

@plugin({ name: 'lion', contract: 'update-rule', options: lionOptions, summary: 'Sign of momentum.' })
class Lion implements UpdateRule {
  constructor(
    @inject(OPTIONS) readonly options: z.output<typeof lionOptions>,
    @inject(LINEAR_ALGEBRA) readonly linearAlgebra: LinearAlgebra,
  ) {}
  init() {
    return {};
  }
  update() {
    return {};
  }
}
const lion = pluginFactory(Lion, lionOptions);

@plugin({ name: 'noisy', contract: 'update-rule', options: z.object({}), summary: 'Draws.' })
class Noisy implements UpdateRule {
  constructor(@inject(RANDOM) readonly random: RandomStream) {}
  init() {
    return {};
  }
  update() {
    return {};
  }
}

/** A class that claims to be an update rule. */
const pretender = (metadata: Partial<Parameters<typeof plugin>[0]> = {}) => {
  class Pretender {}
  plugin({ name: 'lion', contract: 'update-rule', options: z.object({}), summary: '', ...metadata })(Pretender);
  return Pretender;
};

describe('plugins', () => {
  test('declaring one registers nothing', () => {
    expect(root.isRegistered(Lion)).toBe(false);
    expect(new PluginRegistry().list()).toEqual([]);
    expect(pluginMetadata(Lion)?.name).toBe('lion');
    class Child extends Lion {}
    expect(pluginMetadata(Child)).toBeUndefined();
    expect(pluginMetadata(null)).toBeUndefined();
  });

  test('the factory and the name come to the same', () => {
    const registry = new PluginRegistry().use({ Lion, lion, lionOptions });
    const byCode = lion({ learningRate: 0.3 });
    const byName = registry.create('update-rule', 'lion', { learningRate: 0.3 });
    const bySpec = registry.fromSpec({ updateRule: 'lion', options: { learningRate: 0.3 } });
    for (const rule of [byCode, byName, bySpec]) {
      expect(rule).toBeInstanceOf(Lion);
      expect((rule as Lion).options).toEqual({ learningRate: 0.3 });
      expect((rule as Lion).linearAlgebra).toBe(defaultLinearAlgebra);
    }
    expect((registry.fromSpec({ updateRule: 'lion' }) as Lion).options).toEqual({ learningRate: 0.1 });
    expect(() => lion({ learningRat: 1 } as never)).toThrow(OptionsError);
  });

  test('each pipeline has services of its own; missing ones are named', () => {
    const [a, b] = [
      createContainer({ random: RandomStream.fromSeed(1) }),
      createContainer({ random: RandomStream.fromSeed(2) }),
    ];
    expect(instantiatePlugin(Noisy, {}, a).random.word()).not.toBe(instantiatePlugin(Noisy, {}, b).random.word());
    expect(() => instantiatePlugin(Noisy, {})).toThrow(/no service "random".*createContainer\(\{ random/s);
    expect(root.isRegistered(RANDOM)).toBe(false);
    const other = { ...defaultLinearAlgebra };
    const child = createContainer({}, createContainer({ linearAlgebra: other }));
    expect(lion({}, child).linearAlgebra).toBe(other);
  });

  test('the schedules of the pipeline read serialised ones', () => {
    const container = createContainer({ schedules: ({ factor }) => ({ at: (step) => step * Number(factor) }) });
    const rule = new PluginRegistry()
      .use({ Lion })
      .create('update-rule', 'lion', { learningRate: { type: 'line', factor: 2 } }, container);
    expect(scalarAt((rule as Lion).options.learningRate, 5)).toBe(10);
  });

  test('what lacks methods of its contract, or throws, is refused by name', () => {
    expect(() => instantiatePlugin(pretender(), {})).toThrow(/"lion" is no update-rule: it lacks init\(\), update\(\)/);
    class Throwing {
      constructor() {
        throw new TypeError('no');
      }
    }
    plugin({ name: 'throwing', contract: 'reward', options: z.object({}), summary: '' })(Throwing);
    expect(() => instantiatePlugin(Throwing, {})).toThrow(CoreError);
    expect(() => instantiatePlugin(Throwing, {})).toThrow(/reward "throwing" could not be made: .*no/s);
    expect(() => instantiatePlugin(class Plain {}, {})).toThrow(/Plain is no plugin/);
    expect(() => pretender({ name: 'Lion' })).toThrow(/kebab-case/);
  });
});

describe('PluginRegistry', () => {
  const registry = new PluginRegistry().use({ Lion, Noisy }, '@updraft/lion');

  test('lists by contract and pattern', () => {
    expect(registry.list().map(({ name, origin }) => [name, origin])).toEqual([
      ['lion', '@updraft/lion'],
      ['noisy', '@updraft/lion'],
    ]);
    for (const [pattern, names] of [
      ['l*', ['lion']],
      ['*o*', ['lion', 'noisy']],
      ['lion', ['lion']],
      ['*on', ['lion']],
      ['li*on', ['lion']],
      ['lio*on', []],
      ['l.on', []],
    ] as const)
      expect(registry.list('update-rule', pattern).map(({ name }) => name)).toEqual(names);
    expect(registry.list('sampler')).toEqual([]);
    // A pattern that is slow for regular expressions.
    expect(registry.list('update-rule', '*a'.repeat(2000))).toEqual([]);
  });

  test('unknown names are answered with the nearest, or with their contract', () => {
    expect(() => registry.create('update-rule', 'lien', {})).toThrow(
      /no update-rule named "lien". Did you mean "lion"\? Known are: lion, noisy/,
    );
    expect(() => registry.create('sampler', 'lion', {})).toThrow(
      /"lion" of @updraft\/lion is a plugin of contract update-rule/,
    );
    expect(() => registry.create('sampler', 'x', {})).toThrow(/No sampler is registered/);
    expect(() => registry.create('update-rule', '__proto__', {})).toThrow(CoreError);
  });

  test('two plugins of one name show both origins; the same class twice is fine', () => {
    expect(() => new PluginRegistry().use({ Lion }, 'one').use({ Other: pretender() }, 'two')).toThrow(
      /one of one, one of two/,
    );
    expect(new PluginRegistry().use({ Lion }, 'one').use({ Lion }, 'two').list()[0]?.origin).toBe('one');
    const both = new PluginRegistry().use({ Lion }, 'one').use({ Other: pretender({ contract: 'reward' }) }, 'two');
    expect(both.list('reward', 'lion')).toHaveLength(1);
  });

  test('other contract versions and packages without plugins are refused', () => {
    expect(() => new PluginRegistry().use({ Old: pretender({ contractVersion: 0 }) }, 'old')).toThrow(
      /built for contract version 0; this is 1. Install the release/,
    );
    expect(() => new PluginRegistry().use({ New: pretender({ contractVersion: 2 }) }, 'new')).toThrow(
      /Update @updraft\/core/,
    );
    expect(() => new PluginRegistry().use({ lion }, 'empty')).toThrow(/"empty" exports no plugin/);
  });

  test.each([
    [{}, /no name/],
    [null, /no name/],
    [{ updateRule: 'lion', reward: 'x' }, /names of updateRule and reward/],
    [{ updateRule: 3 }, /updateRule that is no text/],
    [{ updateRule: 'lion', learningRate: 1 }, /unknown field "learningRate".*under "options"/],
    [{ updateRule: 'lion', options: { learningRate: -1 } }, /at least 0/],
  ])('the spec %j is refused', (spec, message) => {
    expect(() => registry.fromSpec(spec as never)).toThrow(message);
  });
});

test('sleeping ends with the time or the signal', async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort(new Error('enough'));
  await expect(sleeping).rejects.toThrow('enough');
  await expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow('enough');
  await systemClock.sleep(1);
});
