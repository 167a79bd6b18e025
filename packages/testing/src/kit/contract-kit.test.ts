import { describe, expect, test } from '@jest/globals';
import { plugin, type Sampler } from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { z } from 'zod';
import { registerKit, runKit, samplerKit, testSampler, updateRuleKit, type TestRunner } from '../index.js';

const counter = (): Sampler => {
  let at = 0;
  return {
    columns: { x: { dataType: 'float32', shape: ['batch'] } },
    draw: () => ({ columns: { x: { dataType: 'float32', dims: [1], data: Float32Array.of(at++) } }, size: 1 }),
    state: () => at,
    restore(state) {
      at = Number(state);
    },
  };
};

/** A test framework that runs what it is given and notes it. */
function recorder() {
  const notes: string[] = [];
  const bodies: (() => Promise<void>)[] = [];
  let ended: (() => Promise<void>) | undefined;
  const runner: TestRunner = {
    describe(name, body) {
      notes.push(name);
      body();
    },
    test: Object.assign(
      (name: string, body: () => Promise<void>) => {
        notes.push(`test ${name}`);
        bodies.push(body);
      },
      { skip: (name: string) => notes.push(`skip ${name}`) },
    ),
    afterAll(body) {
      ended = body;
    },
  };
  return { runner, notes, bodies, end: () => ended?.() };
}

describe('a kit', () => {
  const subject = { name: 'counter', create: counter };

  test('is registered with any framework: a test for each check, skipped ones with their reason', async () => {
    const { runner, notes, bodies, end } = recorder();
    testSampler(subject, { random: false, waive: { 'restore-refuses': 'a toy' } }, runner);
    const kit = samplerKit(subject, { random: false });
    expect(notes[0]).toBe('sampler "counter"');
    expect(notes).toHaveLength(1 + kit.checks.length);
    expect(notes).toContain('skip what is no state of the sampler is refused with a typed error (a toy)');
    expect(notes).toContain('skip it gives the golden draws (no golden values are given)');
    for (const body of bodies) await body();
    await end();
  });

  test('tells what failed, and goes on', async () => {
    const kit = samplerKit(subject);
    const results = await runKit(kit);
    expect(results.filter(({ outcome }) => outcome === 'failed').map(({ id }) => id)).toEqual([
      'other-seed',
      'restore-refuses',
    ]);
    expect(results).toHaveLength(kit.checks.length);
    await kit.dispose();
  });

  test('refuses waivers without a reason or of checks that it does not have', () => {
    expect(() => samplerKit(subject, { waive: { 'no-such-check': 'why' } })).toThrow(/It has: columns, same-seed/);
    expect(() => samplerKit(subject, { waive: { columns: ' ' } })).toThrow(/without a reason/);
  });

  test('refuses classes that are no plugin or of another contract', () => {
    class Plain {}
    expect(() => updateRuleKit(Plain as never)).toThrow(/Plain is no plugin/);
    class Other {}
    plugin({ name: 'other', contract: 'sampler', options: z.object({}), summary: 'x' })(Other);
    expect(() => updateRuleKit(Other as never)).toThrow(/of contract sampler, not update-rule/);
  });

  test('says where to get a test framework', () => {
    const { describe: kept } = globalThis as { describe?: unknown };
    try {
      Object.assign(globalThis, { describe: undefined });
      expect(() => {
        registerKit(samplerKit(subject));
      }).toThrow(/Give those of your test framework/);
    } finally {
      Object.assign(globalThis, { describe: kept });
    }
  });

  test('catches parameters that never move and learning rates of no effect without golden values', async () => {
    const kit = updateRuleKit({
      name: 'idle',
      create: () => ({
        init: () => ({}),
        update: ({ params, grads }) => ({
          params: Object.fromEntries(
            Object.entries(params).map(([name, value]) => [name, value.add((grads[name] as Tensor).mul(0))]),
          ),
        }),
      }),
    });
    const failed = (await runKit(kit)).filter(({ outcome }) => outcome === 'failed').map(({ id }) => id);
    expect(failed).toEqual(expect.arrayContaining(['shapes', 'separable', 'parabola', 'rosenbrock']));
    await kit.dispose();
  });
});
