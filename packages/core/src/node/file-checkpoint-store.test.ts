import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as files from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { tensor } from '@updraft/graph';
import { CheckpointError, CHECKPOINT_FORMAT, type Checkpoint } from '../checkpoint/index.js';
import { newestCheckpoint, restoreCheckpoint } from '../drivers/training-checkpoint.js';
import { FileCheckpointStore } from './file-checkpoint-store.js';

const checkpoint = (step: number): Checkpoint => ({
  manifest: {
    format: CHECKPOINT_FORMAT,
    step,
    seed: 3,
    loss: 0.5,
    config: { a: 1 },
    samplerState: { epoch: 0, batch: step },
    createdAt: 'now',
  },
  tensors: { w: tensor([step, 2, 3]), n: tensor([7], 'int64') },
});

/** A process that has ended: nobody works on what is named after it. */
async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid as number;
}

/** A file system with room for this many more bytes. */
function almostFull(room: number): typeof files {
  let left = room;
  const fail = (): never => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  return {
    ...files,
    open: async (...parameters: Parameters<typeof files.open>): Promise<FileHandle> => {
      const file = await files.open(...parameters);
      const write = file.writeFile.bind(file);
      file.writeFile = async (data) => {
        const bytes = data as Uint8Array;
        await write(bytes.subarray(0, left));
        left -= bytes.length;
        if (left < 0) fail();
      };
      return file;
    },
  };
}

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

  test('a disk that is full at any byte leaves the old checkpoint and nothing else', async () => {
    await new FileCheckpointStore(folder).save(checkpoint(1));
    let failures = 0;
    for (let room = 0; ; room += 23) {
      const store = new FileCheckpointStore(folder, {}, almostFull(room));
      const result = await store.save(checkpoint(2)).catch((error: unknown) => error);
      if (result === 'step-000000002') break;
      expect(result).toBeInstanceOf(CheckpointError);
      expect((result as Error).message).toMatch(
        /disk is full: the checkpoint of step 2 .*earlier ones are untouched.* Free some space/,
      );
      expect(await readdir(folder)).toEqual(['step-000000001']);
      expect(await store.load('step-000000001')).toEqual(checkpoint(1));
      failures++;
    }
    expect(failures).toBeGreaterThan(20);
  });

  test('what a killed process began is removed, what it moved aside comes back; what others work on stays', async () => {
    const pid = await deadProcess();
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(1));
    await store.save(checkpoint(2));
    // Killed between the two renames that replace a checkpoint.
    await rename(join(folder, 'step-000000002'), join(folder, `.replaced-${pid}-step-000000002-00ff`));
    await mkdir(join(folder, `.partial-${pid}-step-000000002-00aa`));
    await mkdir(join(folder, `.partial-${process.ppid}-step-000000009-00bb`));
    expect(await store.list()).toEqual(['step-000000001', 'step-000000002']);
    expect(await store.load('step-000000002')).toEqual(checkpoint(2));
    await store.save(checkpoint(3));
    expect((await readdir(folder)).sort()).toEqual([
      `.partial-${process.ppid}-step-000000009-00bb`,
      'step-000000001',
      'step-000000002',
      'step-000000003',
    ]);
  });

  test('an error while a checkpoint takes the place of another leaves the other', async () => {
    await new FileCheckpointStore(folder).save(checkpoint(1));
    let renames = 0;
    const failing: typeof files = {
      ...files,
      rename: async (from, to) => {
        renames++;
        // The first is refused because the name is taken; the third brings the new one into place.
        if (renames === 3) throw new Error('EIO');
        await files.rename(from, to);
      },
    };
    await expect(new FileCheckpointStore(folder, {}, failing).save({ ...checkpoint(1), tensors: {} })).rejects.toThrow(
      /EIO/,
    );
    expect(await readdir(folder)).toEqual(['step-000000001']);
    expect(await new FileCheckpointStore(folder).load('step-000000001')).toEqual(checkpoint(1));
  });

  test('the best ones stay, by a metric of the evaluation', async () => {
    const store = new FileCheckpointStore(folder, { last: 1, best: { count: 1, metric: 'accuracy', highest: true } });
    for (const [step, accuracy] of [
      [1, 0.5],
      [2, 0.9],
      [3, 0.7],
      [4, 0.8],
    ] as const) {
      const { manifest, tensors } = checkpoint(step);
      await store.save({ manifest: { ...manifest, metrics: { accuracy } }, tensors });
    }
    expect(await store.list()).toEqual(['step-000000002', 'step-000000004']);
  });

  test('a fresh run sets earlier checkpoints aside, whole', async () => {
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(500));
    await store.setAside();
    expect(await store.list()).toEqual([]);
    await store.save(checkpoint(10));
    const [aside, name] = (await readdir(folder)).sort() as [string, string];
    expect(name).toBe('step-000000010');
    expect(await new FileCheckpointStore(join(folder, aside)).load('step-000000500')).toEqual(checkpoint(500));
  });

  test('a checkpoint under the name of another step, or with a manifest of another format, is refused', async () => {
    const store = new FileCheckpointStore(folder);
    await store.save(checkpoint(1));
    await rename(join(folder, 'step-000000001'), join(folder, 'step-000000007'));
    await expect(store.load('step-000000007')).rejects.toThrow(/holds step 1/);
    await store.save({ ...checkpoint(2), manifest: { ...checkpoint(2).manifest, format: 99 } });
    await expect(store.load('step-000000002')).rejects.toThrow(/format 99, this version reads 1/);
    await expect(store.load('../step-000000001')).rejects.toThrow(/no name of a checkpoint/);
    await expect(store.load('step-000000003')).rejects.toThrow(CheckpointError);
  });

  test('steps sort by number, and tensors larger than a chunk come back', async () => {
    const store = new FileCheckpointStore(folder, { last: 9 });
    const large = Float32Array.from({ length: 2_500_000 }, (_, index) => index);
    const tensors = { large: { dataType: 'float32', dims: [large.length], data: large }, small: tensor([1]) } as const;
    await store.save({ ...checkpoint(2_000_000_000), tensors });
    await store.save(checkpoint(3));
    expect(await store.list()).toEqual(['step-000000003', 'step-2000000000']);
    const loaded = await store.load('step-2000000000');
    expect(Buffer.from((loaded.tensors['large']?.data as Float32Array).buffer).equals(Buffer.from(large.buffer))).toBe(
      true,
    );
    expect(loaded.tensors['small']).toEqual(tensor([1]));
  });
});
