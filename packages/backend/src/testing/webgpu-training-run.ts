// Trains small networks on WebGPU and on the CPU, and prints how far they come apart and what WebGPU left to the CPU.
import { train, type Model, type Reward, type Sampler, type TrainResult, type UpdateRule } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { crossEntropy, gpt, lenet, mlp, resnet } from '@updraft/nn';
import {
  accumulate,
  adafactor,
  adam,
  adamw,
  averageParameters,
  chain,
  clipByGlobalNorm,
  clipByNorm,
  clipByValue,
  decoupledWeightDecay,
  momentum,
  muon,
  nesterov,
  partition,
  rmsprop,
  schedules,
  sgd,
} from '@updraft/rules';
import type { Backend, Program } from '../backend.js';
import { createBackend } from '../create-backend.js';

/** What five steps on both devices gave. */
export interface TrainingResult {
  readonly network: string;
  readonly rule: string;
  /** Losses of the five steps on the CPU. */
  readonly losses: readonly number[];
  /** Largest difference between the losses of the devices, relative to the largest loss. */
  readonly lossDifference: number;
  /** Largest difference of a parameter or state tensor, relative to its largest value. */
  readonly tensorDifference: number;
  readonly worst: string;
  /** Kernels that ran on the CPU, and how often in one step. */
  readonly fallen: Readonly<Record<string, number>>;
}

const STEPS = 5;
/** Deterministic numbers in [-1, 1]. */
const numbers = (count: number, step: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin((index + 1) * 12.9898 + step * 78.233));
const classes = (count: number, limit: number, step: number): BigInt64Array =>
  BigInt64Array.from({ length: count }, (_, index) => BigInt((index * 7 + step * 3) % limit));

interface Network {
  readonly model: Model;
  readonly batch: (step: number) => Readonly<Record<string, TensorData>>;
}
const image =
  (dims: readonly number[]): Network['batch'] =>
  (step) => ({
    image: { dataType: 'float32', dims: [4, ...dims], data: numbers(4 * dims.reduce((a, b) => a * b, 1), step) },
    label: { dataType: 'int64', dims: [4], data: classes(4, 3, step) },
  });
const NETWORKS: Readonly<Record<string, Network>> = {
  mlp: { model: mlp({ input: [6], hidden: [8], classes: 3 }), batch: image([6]) },
  cnn: {
    model: lenet({ input: [1, 12, 12], classes: 3, channels: [2, 3], kernelSize: 3, hidden: 8 }),
    batch: image([1, 12, 12]),
  },
  resnet: { model: resnet({ input: [1, 8, 8], classes: 3, width: 4, blocksPerStage: 1 }), batch: image([1, 8, 8]) },
  gpt: {
    model: gpt({ vocabulary: 11, context: 6, width: 8, depth: 1, heads: 2 }),
    batch: (step) => ({
      tokens: { dataType: 'int64', dims: [2, 6], data: classes(12, 11, step) },
      label: { dataType: 'int64', dims: [2, 6], data: classes(12, 11, step + 1) },
    }),
  },
};

const learningRate = 1e-2;
const RULES: Readonly<Record<string, () => UpdateRule>> = {
  adamw: () => adamw({ learningRate }),
  sgd: () => sgd({ learningRate }),
  momentum: () => momentum({ learningRate }),
  nesterov: () => nesterov({ learningRate }),
  rmsprop: () => rmsprop({ learningRate }),
  adam: () => adam({ learningRate: schedules.cosine({ from: learningRate, steps: STEPS }) }),
  adafactor: () => adafactor({ learningRate }),
  'muon and adamw': () =>
    partition({
      rules: { muon: muon({ learningRate }), adamw: adamw({ learningRate }) },
      assign: ({ shape }) => (shape.length === 2 ? 'muon' : 'adamw'),
    }),
  'clipped by value': () => chain(clipByValue(0.01), sgd({ learningRate })),
  'clipped by norm': () => chain(clipByNorm(0.1), sgd({ learningRate })),
  'clipped by global norm': () => chain(clipByGlobalNorm(0.1), adam({ learningRate })),
  'decaying weights': () => chain(sgd({ learningRate }), decoupledWeightDecay(0.1)),
  accumulated: () => accumulate(adam({ learningRate }), 2),
  averaged: () => averageParameters(adam({ learningRate }), 0.9),
};

const sampler = ({ model, batch }: Network): Sampler => ({
  columns: { ...model.inputs, label: { dataType: 'int64', shape: ['batch', ...labelDims(batch)] } },
  draw: ({ step }) => ({ columns: batch(step), size: 4 }),
  state: () => null,
  restore: () => undefined,
});
const labelDims = (batch: Network['batch']): number[] => (batch(1)['label'] as TensorData).dims.slice(1);

/** A backend whose programs collect profiles. */
function profiling(backend: Backend): { backend: Backend; fallen: () => Record<string, number> } {
  const programs: Program[] = [];
  const fallen: Record<string, number> = {};
  return {
    backend: {
      device: backend.device,
      description: backend.description,
      createState: (values) => backend.createState(values),
      dispose: () => Promise.resolve(),
      async compile(graph, options) {
        const program = await backend.compile(graph, { ...options, profile: true });
        programs.push(program);
        const dispose = program.dispose.bind(program);
        program.dispose = async () => {
          const profile = program.profile();
          for (const { name, calls } of profile?.onCpu ?? [])
            fallen[name] = Math.max(fallen[name] ?? 0, calls / (profile?.runs ?? 1));
          await dispose();
        };
        return program;
      },
    },
    fallen: () => fallen,
  };
}

async function trained(
  backend: Backend,
  network: Network,
  updateRule: UpdateRule,
): Promise<{ losses: number[]; result: TrainResult }> {
  const reward: Reward = crossEntropy();
  const run = train({
    model: network.model,
    sampler: sampler(network),
    reward,
    updateRule,
    backend,
    steps: STEPS,
    seed: 3,
  });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  return { losses, result: await run.result() };
}

const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const largest = Array.from(b).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  return Array.from(b).reduce((most, value, index) => {
    const difference = Math.abs(value - (a[index] as number)) / largest;
    return Number.isNaN(difference) ? Infinity : Math.max(most, difference);
  }, 0);
};

async function compare(cpu: Backend, webgpu: Backend, network: string, rule: string): Promise<TrainingResult> {
  const make = RULES[rule] as () => UpdateRule;
  const expected = await trained(cpu, NETWORKS[network] as Network, make());
  const profiled = profiling(webgpu);
  const found = await trained(profiled.backend, NETWORKS[network] as Network, make());
  let [tensorDifference, worst] = [0, ''];
  for (const group of ['params', 'state', 'variables'] as const)
    for (const [name, value] of Object.entries(expected.result[group])) {
      const other = found.result[group][name] as TensorData;
      const difference = apart(other.data as Float32Array, value.data as Float32Array);
      if (difference > tensorDifference) [tensorDifference, worst] = [difference, `${group} ${name}`];
    }
  return {
    network,
    rule,
    losses: expected.losses,
    lossDifference: apart(found.losses, expected.losses),
    tensorDifference,
    worst,
    fallen: profiled.fallen(),
  };
}

/** Bytes that the process grew by over many steps whose state stays on the device. */
async function growth(backend: Backend, warm: number, steps: number): Promise<{ before: number; after: number }> {
  // 200 kB of weights and moments, all replaced at every step.
  const network: Network = { model: mlp({ input: [128], hidden: [128], classes: 3 }), batch: image([128]) };
  const run = train({
    model: network.model,
    sampler: sampler(network),
    reward: crossEntropy(),
    updateRule: adamw({ learningRate }),
    backend,
    steps: warm + steps,
  });
  let before = 0;
  for await (const event of run) if (event.type === 'step' && event.step === warm) before = process.memoryUsage().rss;
  await run.result();
  return { before, after: process.memoryUsage().rss };
}

export interface TrainingResults {
  readonly results: readonly TrainingResult[];
  readonly memory: { readonly before: number; readonly after: number };
}

const [webgpu, cpu] = [await createBackend({ device: 'webgpu' }), await createBackend({ device: 'cpu', threads: 1 })];
const combinations = [
  ...Object.keys(RULES).map((rule) => ['mlp', rule] as const),
  ...['cnn', 'resnet', 'gpt'].map((network) => [network, 'adamw'] as const),
  ['gpt', 'momentum'] as const,
];
const results: TrainingResult[] = [];
for (const [network, rule] of combinations) results.push(await compare(cpu, webgpu, network, rule));
const memory = await growth(webgpu, 150, 300);
// The native device aborts the process when it ends with sessions alive.
await webgpu.dispose();
await cpu.dispose();
process.stdout.write(JSON.stringify({ results, memory } satisfies TrainingResults));
