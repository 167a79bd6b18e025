// Time that the sinks take per step, closing included: `npx tsx --conditions=@updraft/source scripts/sink-overhead.ts`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MetricsSink } from '@updraft/report';
import { openJsonlSink, openTensorBoardSink } from '@updraft/report/node';

const steps = 5000;
const repetitions = 7;
const folder = mkdtempSync(join(tmpdir(), 'updraft-sinks-'));

async function microsecondsPerStep(sink: MetricsSink, values: Record<string, number>): Promise<number> {
  const start = performance.now();
  for (let step = 1; step <= steps; step += 1) {
    values['loss'] = 2 / step;
    sink.write({ kind: 'scalars', step, time: Date.now(), values });
  }
  await sink.close();
  return ((performance.now() - start) * 1000) / steps;
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const rows = [];
for (const layers of [0, 10, 50]) {
  const values: Record<string, number> = {
    loss: 0,
    learningRate: 0.00123,
    'throughput/steps': 61.20385,
    'throughput/examples': 3917.0464,
  };
  for (let layer = 0; layer < layers; layer += 1) {
    values[`gradientNorm/blocks.${layer}.weight`] = Math.exp(-layer) + 0.123456789;
    values[`updateNorm/blocks.${layer}.weight`] = Math.exp(-layer) * 0.00987654321;
  }
  const jsonl: number[] = [];
  const tensorBoard: number[] = [];
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    jsonl.push(
      await microsecondsPerStep(await openJsonlSink(join(folder, 'metrics.jsonl'), { replace: true }), values),
    );
    tensorBoard.push(
      await microsecondsPerStep(await openTensorBoardSink(join(folder, 'events'), { replace: true }), values),
    );
  }
  rows.push({
    'values per step': Object.keys(values).length,
    'JSONL µs': median(jsonl).toFixed(1),
    'TensorBoard µs': median(tensorBoard).toFixed(1),
    'both µs': (median(jsonl) + median(tensorBoard)).toFixed(1),
  });
}
rmSync(folder, { recursive: true });
console.table(rows);
