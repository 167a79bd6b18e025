import { encodeImage } from '../src/images/encode-image.js';
import type { MetricRecord, RunHeader } from '../src/records/metric-record.js';

export interface SampleRunOptions {
  readonly name?: string;
  readonly group?: string;
  readonly seed?: number;
  readonly steps?: number;
  readonly layers?: readonly string[];
  readonly learningRate?: number;
}

const startedAt = Date.UTC(2026, 10, 24, 9, 30, 0);

/** Pseudo-random numbers in [0, 1) that are the same every time (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function sampleHeader(options: SampleRunOptions = {}): RunHeader {
  const { name = 'lenet-mnist', seed = 1, learningRate = 0.001 } = options;
  return {
    kind: 'run',
    version: 1,
    name,
    ...(options.group === undefined ? {} : { group: options.group }),
    command: `updraft train mnist.json --seed ${seed} --learning-rate ${learningRate}`,
    config: {
      model: { name: 'lenet', channels: [8, 16] },
      updateRule: 'adamw',
      options: { learningRate },
      batchSize: 64,
    },
    configHash: `${options.group ?? name}-5f8b03a1c2`,
    seed,
    startedAt: new Date(startedAt).toISOString(),
    device: 'cpu (2 threads)',
    machine: { class: 'linux x64, 2 cores, 24 GiB' },
    versions: { updraft: '0.1.0', 'onnxruntime-node': '1.30.0', node: '20.20.2' },
    commit: 'd030785',
  };
}

/** Made-up records of a run that looks like training a small network on digits. */
export function sampleRecords(options: SampleRunOptions = {}): MetricRecord[] {
  const { seed = 1, steps = 900, layers = ['conv1', 'conv2', 'dense1', 'dense2'], learningRate = 0.001 } = options;
  const random = seeded(seed);
  const records: MetricRecord[] = [sampleHeader(options)];
  const timeAt = (step: number) => startedAt + 1800 + step * 42;
  for (let step = 1; step <= steps; step += 1) {
    const progress = step / steps;
    const loss =
      0.05 + 2.25 * Math.exp(-step * 12 * learningRate ** 0.5 * 0.06) * (0.85 + 0.3 * random()) + 0.05 * random();
    const values: Record<string, number> = {
      loss,
      learningRate: learningRate * Math.min(1, step / 60) * (0.5 + 0.5 * Math.cos(Math.PI * progress)),
      'throughput/steps per second': 23 + 2 * random() - (step % 97 === 0 ? 9 : 0),
    };
    layers.forEach((layer, index) => {
      values[`gradientNorm/${layer}`] =
        (0.2 + index * 0.25) * (0.6 + 0.8 * random()) * (0.25 + Math.exp(-progress * 3));
      values[`updateNorm/${layer}`] = learningRate * (1 + index) * (0.8 + 0.3 * random()) * (1.05 - progress);
    });
    records.push({ kind: 'scalars', step, time: timeAt(step), values });
    if (step % Math.max(1, Math.floor(steps / 6)) === 0) {
      const accuracy = 0.99 - 0.08 * Math.exp(-progress * 5) + 0.002 * random();
      records.push({
        kind: 'evaluation',
        step,
        time: timeAt(step) + 20,
        name: 'test',
        metrics: { loss: loss * 0.9, accuracy },
      });
    }
  }
  const time = timeAt(steps);
  const labels = Array.from({ length: 10 }, (_value, index) => String(index));
  const counts = labels.map((_label, row) =>
    labels.map((_other, column) => (row === column ? 960 + Math.floor(random() * 40) : Math.floor(random() * 4))),
  );
  records.push(
    { kind: 'confusionMatrix', step: steps, time, name: 'test', labels, counts },
    {
      kind: 'images',
      step: steps,
      time,
      name: 'Test samples',
      images: Array.from({ length: 24 }, (_value, index) => ({
        ...encodeImage({ data: ring(index), width: 28, height: 28 }),
        label: String(index % 10),
        predicted: String(index === 7 ? 1 : index % 10),
      })),
    },
    {
      kind: 'texts',
      step: steps,
      time,
      name: 'Generated text',
      texts: [
        {
          prompt: 'Call me',
          text: 'Call me Ishmael. Some years ago—never mind how long precisely',
          reference: 'Call me Ishmael.',
        },
      ],
    },
    {
      kind: 'histogram',
      step: steps,
      time,
      name: 'dense2/weight',
      edges: Array.from({ length: 31 }, (_value, index) => -0.3 + index * 0.02),
      counts: Array.from({ length: 30 }, (_value, index) => Math.round(900 * Math.exp(-(((index - 14.5) / 6) ** 2)))),
    },
    {
      kind: 'phases',
      phases: [
        { name: 'step', seconds: 33.1, count: steps },
        { name: 'batch', seconds: 2.4, count: steps },
        { name: 'evaluate', seconds: 1.9, count: 6 },
        { name: 'compile', seconds: 0.61, count: 2 },
        { name: 'checkpoint', seconds: 0.12, count: 9 },
      ],
    },
    {
      kind: 'memory',
      peakBytes: 412 * 2 ** 20,
      parts: { parameters: 1.4 * 2 ** 20, 'optimiser state': 2.8 * 2 ** 20, 'data set': 55 * 2 ** 20 },
    },
    {
      kind: 'graph',
      name: 'train step',
      nodes: 133,
      operators: {
        Mul: 34,
        Add: 26,
        Sub: 12,
        Conv: 6,
        ConvTranspose: 1,
        Gemm: 6,
        Relu: 3,
        MaxPool: 2,
        ReduceSum: 6,
        Sqrt: 8,
        Div: 9,
        Reshape: 4,
        Softmax: 1,
        Where: 3,
      },
      unplaced: [],
      parameters: 61_706,
      bytes: 48_211,
      compileSeconds: 0.31,
    },
    {
      kind: 'graph',
      name: 'evaluate',
      nodes: 14,
      operators: { Conv: 2, Relu: 3, MaxPool: 2, Gemm: 2, Reshape: 1, ArgMax: 1, Equal: 1, Cast: 1, ReduceSum: 1 },
      unplaced: [{ operator: 'ArgMax', node: 'accuracy/argmax', reason: 'no int64 kernel' }],
    },
    { kind: 'warning', step: 412, message: 'The gradient norm of conv1 was ten times its average.' },
    {
      kind: 'check',
      name: 'exported model agrees with onnxruntime',
      verdict: 'pass',
      detail: 'largest difference 2.1e-7',
    },
    { kind: 'check', name: 'test accuracy of at least 98.5 %', verdict: 'pass' },
    {
      kind: 'table',
      title: 'Slowest operators',
      columns: ['operator', 'node', 'milliseconds'],
      rows: [
        ['Conv', 'conv2', 11.2],
        ['ConvTranspose', null, 8.05],
      ],
    },
    { kind: 'end', step: steps, time: time + 500, reason: 'completed' },
  );
  return records;
}

/** A ring of a size that depends on the index, 28 × 28 values in [0, 1]. */
function ring(index: number): Float32Array {
  const radius = 4 + (index % 8);
  return Float32Array.from({ length: 784 }, (_value, pixel) => {
    const distance = Math.hypot((pixel % 28) - 13.5, Math.floor(pixel / 28) - 13.5);
    return Math.max(0, 1 - Math.abs(distance - radius) / 2);
  });
}
