import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBackend } from '@updraft/backend';
import { train, RandomStream } from '@updraft/core';
import { FileCheckpointStore } from '@updraft/core/node';
import { crossEntropy, mlp } from '@updraft/nn';
import { adamw } from '@updraft/rules';
const backend = await createBackend({ device: 'cpu' });
const x = new Float32Array(128 * 784); RandomStream.fromSeed(1).fillNormal(x);
const labels = BigInt64Array.from({ length: 128 }, (_, i) => BigInt(i % 10));
const sampler = () => ({
  columns: { image: { shape: ['batch', 784], dataType: 'float32' }, label: { shape: ['batch'], dataType: 'int64' } },
  draw: () => ({ columns: { image: { dataType: 'float32', dims: [128, 784], data: x }, label: { dataType: 'int64', dims: [128], data: labels } }, size: 128 }),
  state: () => null, restore: () => undefined,
});
async function once(checkpoints: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'ov-'));
  let steps = 0, time = 0, start = 0, blocked: number[] = [], total: number[] = [];
  for await (const event of train({ model: mlp({ input: [784], hidden: [512, 512], classes: 10, column: 'image' } as never), sampler: sampler() as never, reward: crossEntropy(), updateRule: adamw(), backend, steps: 501,
    ...(checkpoints ? { checkpoints: { store: new FileCheckpointStore(folder), every: 100 } } : {}) })) {
    if (event.type === 'step') { if (event.step === 1) start = performance.now(); if (event.step === 500) time = performance.now() - start; steps++; }
    if (event.type === 'checkpoint') { blocked.push(event.blockedMilliseconds); total.push(event.milliseconds); }
  }
  rmSync(folder, { recursive: true });
  return { time, blocked, total };
}
const ratios: number[] = [];
for (let r = 0; r < 6; r++) {
  const a = await once(false), b = await once(true), c = await once(false);
  ratios.push(b.time / ((a.time + c.time) / 2));
  console.log((a.time / 499).toFixed(2), (b.time / 499).toFixed(2), 'ratio', ratios.at(-1)!.toFixed(4), 'blocked', b.blocked.map((v) => v.toFixed(1)).join(' '), 'total', b.total.map((v) => v.toFixed(0)).join(' '));
}
ratios.sort((p, q) => p - q); console.log('median', (ratios[2]! + ratios[3]!) / 2);
await backend.dispose();
