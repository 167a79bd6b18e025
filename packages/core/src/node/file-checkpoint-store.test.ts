import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { tensor } from '@updraft/graph';
import { CheckpointError, CHECKPOINT_FORMAT, type Checkpoint } from '../checkpoint/index.js';
import { newestCheckpoint, restoreCheckpoint } from '../drivers/training-checkpoint.js';
import { FileCheckpointStore } from './file-checkpoint-store.js';

const checkpoint = (step: number): Checkpoint => ({
  manifest: { format: CHECKPOINT_FORMAT, step, seed: 3, loss: 0.5, config: { a: 1 }, samplerState: { epoch: 0, batch: step }, createdAt: 'now' },
  tensors: { w: tensor([step, 2, 3]), n: tensor([7], 'int64') },
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'updraft-checkpoints-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('FileCheckpointStore', () => {
  test('what is saved is what is loaded', async () => {
    const store = new FileCheckpointStore(join(folder, 'new', 'folder'));
    const name = await store.save(checkpoint(12));
    expect(name).toBe('step-000000012');
    expect(await store.load(name)).toEqual(checkpoint(12));
  });

  test('keeps the newest ones and the multiples that the policy names', async () => {
    const store = new FileCheckpointStore(folder, { last: 2, every: 20 });
    for (const step of [10, 20, 30, 40, 50]) await store.save(checkpoint(step));
    expect(await store.list()).toEqual(['step-000000020', 'step-000000040', 'step-000000050']);
  });

  test('the same step again replaces the old one', async () => {
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(5));
    await store.save({ ...checkpoint(5), tensors: { w: tensor([9]) } });
    expect((await store.load('step-000000005')).tensors['w']).toEqual(tensor([9]));
    expect(await readdir(folder)).toEqual(['step-000000005']);
  });

  test('a file torn at any byte, or with any byte changed, is refused; the one before it is used', async () => {
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(1));
    const name = await store.save(checkpoint(2));
    for (const file of ['tensors.safetensors', 'manifest.json']) {
      const path = join(folder, name, file);
      const whole = await readFile(path);
      for (let length = 0; length < whole.length; length += 7) {
        await truncate(path, length);
        await expect(store.load(name)).rejects.toThrow(CheckpointError);
        await writeFile(path, whole);
      }
      for (let at = 0; at < whole.length; at += 11) {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] as number) ^ 0x01;
        await writeFile(path, damaged);
        // A changed byte of white space in the manifest leaves the same JSON.
        await store.load(name).then(
          (loaded) => {
            expect(loaded).toEqual(checkpoint(2));
          },
          (error: unknown) => {
            expect(error).toBeInstanceOf(CheckpointError);
          },
        );
        await writeFile(path, whole);
      }
    }
    await truncate(join(folder, name, 'tensors.safetensors'), 20);
    expect((await newestCheckpoint(store))?.name).toBe('step-000000001');
  });

  test('a folder that cannot be written to is named, and nothing is left behind', async () => {
    await writeFile(join(folder, 'file'), '');
    const store = new FileCheckpointStore(join(folder, 'file', 'inside'));
    await expect(store.save(checkpoint(1))).rejects.toThrow(/could not be written|ENOTDIR/);
    expect(await readdir(folder)).toEqual(['file']);
  });

  test('a checkpoint of another model is refused with every mismatch', async () => {
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(4));
    await expect(restoreCheckpoint(store, { w: tensor([[1, 2]]), other: tensor([1]) }, 8)).rejects.toThrow(
      /w is float32\[3\], expected is float32\[1, 2\].*it lacks other.*it has n.*its seed is 3, not 8/,
    );
  });
});
