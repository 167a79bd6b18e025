import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend } from '@updraft/backend';
import { build } from 'esbuild';
import { FileCheckpointStore } from '../node/file-checkpoint-store.js';
import { RandomStream } from '../random/index.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './testing/pipeline.js';
import { newestCheckpoint } from './training-checkpoint.js';
import { train } from './train.js';

const KILLS = 200;
const package_ = new URL('../..', import.meta.url).pathname;

let folder: string;
let script: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'updraft-kill-'));
  // Beside the package, so that the native runtime is found from there.
  script = join(package_, 'dist', 'testing', 'killed-run.mjs');
  await build({
    entryPoints: [join(package_, 'src/drivers/testing/killed-run.ts')],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@updraft/source'],
    external: ['onnxruntime-node', 'onnxruntime-common', 'reflect-metadata', 'tsyringe'],
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Run the script; kill it some time after it has started, or let it finish. */
function runChild(steps: number, killAfter?: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, folder, String(steps)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString();
      if (killAfter !== undefined && output.startsWith('started')) setTimeout(() => child.kill('SIGKILL'), killAfter);
    });
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve(output);
      else reject(new Error(`The run ended with code ${code}: ${errors}`));
    });
  });
}

test(`killed at ${KILLS} random moments, a run never leaves an unreadable checkpoint and ends with the bits of an uninterrupted one`, async () => {
  const random = RandomStream.fromSeed(1);
  const store = new FileCheckpointStore(folder);
  let step = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    await runChild(1_000_000, 20 + random.uniform() * 180);
    // Every folder under the name of a checkpoint must be whole, not just one of them.
    for (const name of await store.list()) await store.load(name);
    const newest = await newestCheckpoint(store);
    const reached = newest?.checkpoint.manifest.step ?? 0;
    expect(reached).toBeGreaterThanOrEqual(step);
    step = reached;
  }
  // Many runs got somewhere: the kills hit writes, not just the start.
  expect(step).toBeGreaterThan(50);
  await runChild(step + 20);
  const resumed = await newestCheckpoint(store);
  expect(resumed?.checkpoint.manifest.step).toBe(step + 20);

  const backend = await createBackend({ device: 'cpu', threads: 1 });
  const whole = await train({
    model: noisyModel,
    sampler: new FunctionSampler(),
    reward: squaredError,
    updateRule: phasedMomentum,
    backend,
    steps: step + 20,
    seed: 11,
  }).result();
  await backend.dispose();
  for (const [name, value] of Object.entries(whole.params))
    expect(resumed?.checkpoint.tensors[`param/${name}`]).toEqual(value);
  for (const [name, value] of Object.entries(whole.state))
    expect(resumed?.checkpoint.tensors[`state/${name}`]).toEqual(value);
  for (const [name, value] of Object.entries(whole.variables))
    expect(resumed?.checkpoint.tensors[`variable/${name}`]).toEqual(value);
}, 600_000);
