import { expect, test } from '@jest/globals';
import { CHECKPOINT_FORMAT, CheckpointError, type Checkpoint, type CheckpointStore } from '../checkpoint/index.js';
import { CheckpointWriter } from './checkpoint-writer.js';

const checkpoint = (step: number): Checkpoint => ({
  manifest: { format: CHECKPOINT_FORMAT, step, seed: 0, loss: 0, config: null, samplerState: null, createdAt: '' },
  tensors: {},
});

/** A store whose saves end when the test says so. */
class SlowStore implements CheckpointStore {
  readonly log: string[] = [];
  finish: (error?: Error) => void = () => undefined;
  save({ manifest: { step } }: Checkpoint): Promise<string> {
    this.log.push(`save ${step}`);
    return new Promise((resolve, reject) => {
      this.finish = (error) => {
        if (error === undefined) resolve(`step-${step}`);
        else reject(error);
      };
    });
  }
  setAside(): Promise<void> {
    this.log.push('set aside');
    return Promise.resolve();
  }
  list(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }
  load(): Promise<Checkpoint> {
    return Promise.reject(new Error('not here'));
  }
}

test('beginning waits for the copy only; the next one waits for the one before', async () => {
  const store = new SlowStore();
  const writer = new CheckpointWriter(store, false);
  await writer.begin(1, () => Promise.resolve(checkpoint(1)));
  expect(writer.completed()).toEqual([]);
  let taken = false;
  const second = writer.begin(2, () => {
    taken = true;
    return Promise.resolve(checkpoint(2));
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(taken).toBe(false);
  store.finish();
  await second;
  expect(taken).toBe(true);
  expect(writer.completed()).toMatchObject([{ step: 1, name: 'step-1' }]);
  expect(writer.last).toBe('step-1');
  store.finish();
  await writer.settle();
  expect(writer.completed()).toMatchObject([{ step: 2 }]);
  expect(writer.completed()).toEqual([]);
});

test('a failure is told at the next look, and nothing is written after it', async () => {
  const store = new SlowStore();
  const writer = new CheckpointWriter(store, false);
  await writer.begin(1, () => Promise.resolve(checkpoint(1)));
  store.finish(new CheckpointError('The disk is full.'));
  await writer.settle();
  await writer.begin(2, () => Promise.resolve(checkpoint(2)));
  expect(store.log).toEqual(['save 1']);
  expect(() => writer.completed()).toThrow(/disk is full/);
});

test('a fresh run sets earlier checkpoints aside once, before its first', async () => {
  const store = new SlowStore();
  const writer = new CheckpointWriter(store, true);
  for (const step of [1, 2]) {
    await writer.begin(step, () => Promise.resolve(checkpoint(step)));
    await new Promise((resolve) => setTimeout(resolve, 0));
    store.finish();
    await writer.settle();
  }
  expect(store.log).toEqual(['set aside', 'save 1', 'save 2']);
});
