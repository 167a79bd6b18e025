import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { z } from 'zod';
import { CheckpointError, MemoryCheckpointStore, type Checkpoint } from '../checkpoint/index.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import { plugin, pluginFactory } from '../plugins/index.js';
import { RandomStream } from '../random/index.js';
import { mapValues } from '../tree.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './testing/pipeline.js';
import { train, type TrainOptions } from './train.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const pipeline = (extra: Partial<TrainOptions> = {}): TrainOptions => ({
  model: noisyModel,
  sampler: new FunctionSampler(),
  reward: squaredError,
  updateRule: phasedMomentum,
  backend,
  steps: 8,
  seed: 5,
  ...extra,
});

class TwoBatches extends FunctionSampler {
  #left = 2;
  override draw(context: Parameters<FunctionSampler['draw']>[0]) {
    return this.#left-- > 0 ? super.draw(context) : (undefined as never);
  }
}

/** A rule without state that multiplies all parameters: two plugins of it cannot be told apart by their tensors. */
const scaling = (name: string, factor: (step: number) => number) => {
  class Scaling implements UpdateRule {
    init() {
      return {};
    }
    update(context: Parameters<UpdateRule['update']>[0]) {
      const scale = context.scalar('factor', factor);
      return { params: mapValues(context.params, (param) => param.mul(scale)) };
    }
  }
  const options = z.object({});
  plugin({ name, contract: 'update-rule', options, summary: '', version: '1.2.3' })(Scaling);
  return pluginFactory(Scaling, options);
};

describe('checkpoints of a run', () => {
  test('say what the run was made of', async () => {
    const store = new MemoryCheckpointStore();
    const config = { name: 'demo' };
    await train(
      pipeline({
        updateRule: scaling('half', () => 0.5)(),
        config,
        steps: 4,
        checkpoints: { store, every: 3 },
        evaluation: { sampler: () => new TwoBatches(), every: 2 },
      }),
    ).result();
    const { manifest } = await store.load('step-000000003');
    expect(manifest).toMatchObject({
      step: 3,
      seed: 5,
      config,
      plugins: [{ contract: 'update-rule', name: 'half', version: '1.2.3' }],
      random: RandomStream.fromSeed(5).state(),
      samplerState: { drawn: 3 },
    });
    expect(manifest.metrics?.['loss']).toBeGreaterThan(0);
  });

  test('of another update rule are refused, even where all tensors fit', async () => {
    const store = new MemoryCheckpointStore();
    const checkpoints = { store, every: 100 };
    await train(pipeline({ updateRule: scaling('half', () => 0.5)(), checkpoints, steps: 2 })).result();
    await expect(
      train(pipeline({ updateRule: scaling('third', () => 1 / 3)(), checkpoints })).result(),
    ).rejects.toThrow(/its update rule is "half", not "third"/);
  });

  test('never hold parameters that are not finite', async () => {
    const store = new MemoryCheckpointStore();
    // The loss of step 4 is still that of finite parameters; the update of step 4 breaks them.
    const breaking: UpdateRule = {
      init: () => ({}),
      update(context) {
        const divisor = context.scalar('divisor', (step) => (step === 4 ? 0 : 1));
        return { params: mapValues(context.params, (param) => param.add(param.sub(param).div(divisor))) };
      },
    };
    const run = train(pipeline({ updateRule: breaking, checkpoints: { store, every: 2 } }));
    await expect(run.result()).rejects.toMatchObject({
      code: 'non-finite',
      message: expect.stringMatching(
        /The parameter "first.weight" holds NaN after step 4.*last good checkpoint is "step-000000002"/,
      ),
    });
    expect(await store.list()).toEqual(['step-000000002']);
  });

  test('of earlier runs are set aside by a fresh one', async () => {
    const store = new MemoryCheckpointStore();
    await train(pipeline({ steps: 8, checkpoints: { store, every: 4 } })).result();
    await train(pipeline({ steps: 6, checkpoints: { store, every: 4, resume: false } })).result();
    expect(await store.list()).toEqual(['step-000000004', 'step-000000006']);
  });

  test('that cannot be written end the run with their error, and its memory is freed', async () => {
    class FullStore extends MemoryCheckpointStore {
      override save(checkpoint: Checkpoint): Promise<string> {
        return checkpoint.manifest.step < 4
          ? super.save(checkpoint)
          : Promise.reject(new CheckpointError('The disk is full.'));
      }
    }
    const store = new FullStore();
    const steps: number[] = [];
    const run = train(pipeline({ checkpoints: { store, every: 2 } }));
    await expect(
      (async () => {
        for await (const event of run) if (event.type === 'step') steps.push(event.step);
      })(),
    ).rejects.toThrow('The disk is full.');
    expect(steps.length).toBeLessThanOrEqual(5);
    expect(await store.list()).toEqual(['step-000000002']);
  });

  test('are not waited for', async () => {
    let release = (): void => undefined;
    class SlowStore extends MemoryCheckpointStore {
      override async save(checkpoint: Checkpoint): Promise<string> {
        if (checkpoint.manifest.step === 2) await new Promise<void>((resolve) => (release = resolve));
        return super.save(checkpoint);
      }
    }
    const order: string[] = [];
    for await (const event of train(pipeline({ steps: 7, checkpoints: { store: new SlowStore(), every: 2 } }))) {
      if (event.type === 'step') order.push(String(event.step));
      if (event.type === 'checkpoint') order.push(`checkpoint ${event.step}`);
      if (event.type === 'step' && event.step === 3) release();
    }
    expect(order.indexOf('checkpoint 2')).toBeGreaterThan(order.indexOf('3'));
    expect(order.filter((entry) => entry.startsWith('checkpoint'))).toEqual([
      'checkpoint 2',
      'checkpoint 4',
      'checkpoint 6',
      'checkpoint 7',
    ]);
  });
});
