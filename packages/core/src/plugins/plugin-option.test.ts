import { describe, expect, test } from '@jest/globals';
import { inject } from 'tsyringe';
import { z } from 'zod';
import type { UpdateRule } from '../contracts/update-rule.js';
import {
  describeOptions,
  optionsJsonSchema,
  OptionsError,
  pluginOption,
  scalar,
  serialiseOptions,
} from '../options/index.js';
import { OPTIONS, plugin, pluginFactory, PluginRegistry } from './index.js';

const innerOptions = z.object({ learningRate: scalar({ min: 0 }).default(0.1).describe('Rate.') });
@plugin({ name: 'inner', contract: 'update-rule', options: innerOptions, summary: '' })
class Inner implements UpdateRule {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof innerOptions>) {}
  init() {
    return {};
  }
  update() {
    return {};
  }
}
const inner = pluginFactory(Inner, innerOptions);

const outerOptions = z.object({
  rule: pluginOption('update-rule')
    .default(() => inner())
    .describe('What is wrapped.'),
});
@plugin({ name: 'outer', contract: 'update-rule', options: outerOptions, summary: '' })
class Outer extends Inner {
  constructor(@inject(OPTIONS) readonly own: z.output<typeof outerOptions>) {
    super({ learningRate: 0 });
  }
}
const outer = pluginFactory(Outer, outerOptions);

describe('options that are plugins', () => {
  const registry = new PluginRegistry().use({ Inner, Outer });
  const made = (options: unknown): Outer => registry.create('update-rule', 'outer', options) as Outer;

  test('code gives an instance, configurations a name, to any depth', () => {
    const rule = inner({ learningRate: 2 });
    expect(outer({ rule }).own.rule).toBe(rule);
    const named = made({ rule: { updateRule: 'inner', options: { learningRate: 3 } } }).own.rule as Inner;
    expect(named).toBeInstanceOf(Inner);
    expect(named.options.learningRate).toBe(3);
    const deep = made({ rule: { updateRule: 'outer', options: { rule: { updateRule: 'inner' } } } }).own.rule as Outer;
    expect((deep.own.rule as Inner).options.learningRate).toBe(0.1);
    expect((made({}).own.rule as Inner).options.learningRate).toBe(0.1);
  });

  test('what is wrong with the inner plugin is told with its path', () => {
    for (const [options, message] of [
      [{ rule: { updateRule: 'iner' } }, /^outer: "rule": There is no update-rule named "iner"[^;]*$/],
      [{ rule: { updateRule: 'inner', options: { learningRate: -1 } } }, /"rule".*learningRate.*at least 0/s],
      [{ rule: 3 }, /"rule" expected an implementation of the contract "update-rule"/],
    ] as const) {
      expect(() => made(options)).toThrow(OptionsError);
      expect(() => made(options)).toThrow(message);
    }
    // Without a registry there is nothing that knows names.
    expect(() => outer({ rule: { updateRule: 'inner' } } as never)).toThrow(OptionsError);
  });

  test('they are written down as what makes them again', () => {
    const written = serialiseOptions({ rule: outer({ rule: inner({ learningRate: 2 }) }), other: 1 });
    expect(written).toEqual({
      rule: { updateRule: 'outer', options: { rule: { updateRule: 'inner', options: { learningRate: 2 } } } },
      other: 1,
    });
    const again = made(JSON.parse(JSON.stringify(written['rule'])).options).own.rule as Inner; // eslint-disable-line
    expect(again.options.learningRate).toBe(2);
    const [row] = describeOptions(outerOptions);
    expect(row).toMatchObject({
      type: 'update-rule',
      default: '{"updateRule":"inner","options":{"learningRate":0.1}}',
    });
    expect(optionsJsonSchema(outerOptions)).toMatchObject({
      properties: { rule: { type: 'object', required: ['updateRule'], description: 'What is wrapped.' } },
    });
  });
});
