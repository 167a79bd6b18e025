import {
  defineModel,
  evaluate,
  frozen,
  jointNorm,
  mapValues,
  RandomStream,
  train,
  type Layer,
  type Model,
  type Reward,
  type StateSpecs,
  type UpdateRule,
} from '@updraft/core';
import { contrastImages, fromTensors, inOrder, shuffled, type Dataset } from '@updraft/data';
import { emptyTensor, softplus, type Tensor } from '@updraft/graph';
import { crossEntropy, mlp, zeros } from '@updraft/nn';
import { adam, schedules } from '@updraft/rules';
import {
  defineExperiment,
  figureText,
  trainAndEvaluate,
  type RunContext,
  type RunOutcome,
  type Setting,
} from '@updraft/testing/experiment';
import { coordinator, padPrompt, promptedModel, type ImageShape } from './coordinator.js';
import { spsa, spsaGc } from './spsa-gc.js';

// ——— (a) The optimiser alone: logistic regression from losses.

const GAINS = [0.01, 0.03, 0.1, 0.3, 1, 3];
/** Gains at which both are compared one by one. */
const PAIRED_GAINS = [0.01, 0.03, 0.1];

const rules = (correction: boolean, gains: readonly number[]): Setting[] => gains.map((a) => ({ correction, a }));

/** A linear model whose output is x·w. */
const linear = (features: number): Model =>
  defineModel({
    name: 'linear',
    inputs: { x: { dataType: 'float32', shape: ['batch', features] } },
    build: (scope, { x }) =>
      (x as Tensor).mul(scope.parameter('w', [features], { initialize: () => new Float32Array(features) })).sum([1]),
  });

/** Mean of log(1 + exp(−y·z)) for labels ±1. */
const logistic: Reward = {
  objective({ batch, forward }) {
    const losses = softplus((forward()['output'] as Tensor).mul(batch['sign'] as Tensor).neg());
    return { loss: losses.mean(), perExample: { loss: losses } };
  },
};

/** Features of a scale that grows from 0.3 to 2, labels by chance from the logistic of x·w. */
function logisticData(count: number, features: number, seed: number): Dataset {
  const random = RandomStream.fromSeed(seed).split('logistic');
  const normals = (name: string, size: number): Float32Array => {
    const values = new Float32Array(size);
    random.split(name).fillNormal(values);
    return values;
  };
  const w = normals('w', features);
  const x = normals('x', count * features).map((value, at) => value * (0.3 + (1.7 * (at % features)) / (features - 1)));
  const chance = random.split('labels');
  const sign = Float32Array.from({ length: count }, (_, row) => {
    let z = 0;
    for (let at = 0; at < features; at++) z += (x[row * features + at] as number) * (w[at] as number);
    return chance.uniform() < 1 / (1 + Math.exp(-z)) ? 1 : -1;
  });
  return fromTensors({
    x: { dataType: 'float32', dims: [count, features], data: x },
    sign: { dataType: 'float32', dims: [count], data: sign },
  });
}

// ——— (b) Prompts for a black box whose images are disturbed.

const SIZE = 8;
const SHAPE: ImageShape = [1, SIZE, SIZE];
const FEATURES = 32;

interface Prompting {
  readonly prompt: 'coordinator' | 'frame';
  readonly optimiser: 'spsa-gc' | 'spsa' | 'one-sided' | 'adam';
  readonly rate: number;
}
const prompting = (
  prompt: Prompting['prompt'],
  optimiser: Prompting['optimiser'],
  rates: readonly number[],
): Setting[] => rates.map((rate) => ({ prompt, optimiser, rate }));

/** Pixels between 0 and 1, of images with three standard deviations to either side. */
function pixels(data: Dataset, disturbance?: (pixel: number, row: number) => number): Dataset {
  const { length } = data;
  const [image, label] = [emptyTensor('float32', [length, ...SHAPE]), emptyTensor('int64', [length])];
  for (let row = 0; row < length; row++) {
    data.read('image', row, image, row);
    data.read('label', row, label, row);
  }
  const area = SIZE * SIZE;
  image.data.forEach((value, at) => {
    const clean = Math.min(1, Math.max(0, 0.5 + value / 6));
    const changed = disturbance === undefined ? clean : clean + disturbance(at % area, Math.floor(at / area));
    image.data[at] = Math.min(1, Math.max(0, changed));
  });
  return fromTensors({ image, label });
}

/** A wave across each image, added or subtracted by chance: what helps one image harms another. */
function wave(strength: number, random: RandomStream): (pixel: number, row: number) => number {
  const signs = new Map<number, number>();
  return (pixel, row) => {
    let sign = signs.get(row);
    if (sign === undefined) signs.set(row, (sign = random.uniform() < 0.5 ? -1 : 1));
    return sign * strength * Math.sin((2 * Math.PI * ((pixel % SIZE) + 0.5)) / SIZE);
  };
}

/** A frozen encoder that knows nothing: random projections of the pixels. */
function randomEncoder(seed: number): Layer {
  const data = new Float32Array(SIZE * SIZE * FEATURES);
  RandomStream.fromSeed(seed).split('encoder').fillNormal(data);
  const scaled = data.map((value) => value / Math.sqrt(SIZE));
  return (_scope, images) => {
    const weight = images.graph.constant({ dataType: 'float32', dims: [SIZE * SIZE, FEATURES], data: scaled });
    return images.sub(0.5).flatten(1).matMul(weight).tanh();
  };
}

/**
 * The estimator of black-box adversarial reprogramming (Tsai et al. 2020), the baseline BAR: one-sided differences along
 * directions on the unit sphere, with a step that falls to a tenth.
 */
const oneSided = (rate: number, steps: number, avg: number): UpdateRule => ({
  init: () => ({}) as StateSpecs,
  update(context) {
    const { params } = context;
    const size = Object.values(context.specs).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const smoothing = 0.01;
    const here = context.loss();
    const directions = Array.from({ length: avg }, (_, j) => {
      const u = mapValues(params, (param, name) => context.noise(`u${j}/${name}`, param.shape));
      const unit = mapValues(u, (value) => value.div(jointNorm(u)));
      const there = context.loss(mapValues(params, (param, name) => param.add((unit[name] as Tensor).mul(smoothing))));
      const slope = there.sub(here).mul(size / smoothing / avg);
      return mapValues(unit, (value) => value.mul(slope));
    });
    const gain = context.scalar('gain', (k) => rate * (0.1 + 0.9 * Math.max(0, 1 - k / (0.9 * steps)) ** 0.9));
    return {
      params: mapValues(params, (param, name) =>
        param.sub(
          directions
            .map((each) => each[name] as Tensor)
            .reduce((sum, each) => sum.add(each))
            .mul(gain),
        ),
      ),
      state: {},
    };
  },
});

function promptRule({ optimiser, rate }: Prompting, steps: number): UpdateRule {
  switch (optimiser) {
    case 'spsa-gc':
      return spsaGc({ a: rate });
    case 'spsa':
      return spsa({ a: rate });
    case 'one-sided':
      return oneSided(rate, steps, 5);
    case 'adam':
      return adam({ learningRate: schedules.cosine({ from: rate, steps }) });
  }
}

async function promptRun(given: Setting, context: RunContext): Promise<RunOutcome> {
  const { prompt, optimiser, rate } = given as unknown as Prompting;
  const { pretrain, shots, validation, test, hidden, boxSteps, batchSize, steps, strength } =
    context.workload as Readonly<Record<string, number>> as Readonly<
      Record<
        'pretrain' | 'shots' | 'validation' | 'test' | 'hidden' | 'boxSteps' | 'batchSize' | 'steps' | 'strength',
        number
      >
    >;
  const { seed, backend, signal } = context;
  const data = contrastImages({
    parts: { pretrain, train: 10 * shots, validation, test },
    contrast: 0,
    brightness: 0,
    seed,
  });
  const random = RandomStream.fromSeed(seed).split('disturbance');
  const disturbed = (part: 'train' | 'validation' | 'test'): Dataset =>
    pixels(data[part], wave(strength, random.split(part)));

  // The black box is trained on clean images, and then only asked.
  const box = mlp({ input: [...SHAPE], hidden: [hidden], classes: 10 });
  const clean = pixels(data.pretrain);
  const { params } = await train({
    model: box,
    sampler: shuffled(clean),
    reward: crossEntropy(),
    updateRule: adam({ learningRate: schedules.cosine({ from: 3e-3, steps: boxSteps }) }),
    backend,
    steps: boxSteps,
    seed,
    ...(signal === undefined ? {} : { signal }),
  }).result();
  signal?.throwIfAborted();
  const trained = frozen(box, params);
  const sets = { test: disturbed('test'), validation: disturbed('validation') };
  const asked = (set: Dataset): ReturnType<typeof evaluate> =>
    evaluate({ model: box, reward: crossEntropy(), backend, sampler: () => inOrder(set), residents: params });

  const model = promptedModel({
    imageShape: SHAPE,
    prompt:
      prompt === 'coordinator'
        ? coordinator({ imageShape: SHAPE, encoder: randomEncoder(seed), channels: [8], sourceChannels: 12 })
        : padPrompt({ imageShape: SHAPE, padSize: 2, initialize: zeros }),
    blackBox: (scope, image) => trained(scope, { image })['logits'] as Tensor,
  });
  const outcome = await trainAndEvaluate({
    context,
    model,
    sampler: shuffled(disturbed('train'), { batchSize }),
    reward: crossEntropy(),
    updateRule: promptRule({ prompt, optimiser, rate }, steps),
    steps,
    measure: mapValues(sets, (set) => () => inOrder(set)),
    curve: { of: 'test', every: Math.max(1, steps / 10) },
  });
  return {
    ...outcome,
    metrics: {
      ...outcome.metrics,
      cleanAccuracy: (await asked(pixels(data.test))).metrics['accuracy'] as number,
      unpromptedAccuracy: (await asked(sets.test)).metrics['accuracy'] as number,
    },
  };
}

const best = (values: readonly number[]): number => Math.min(...values);

/** SPSA-GC against SPSA on a convex loss, and prompts for a black box. */
export const experiments = [
  defineExperiment({
    id: 'logistic-regression',
    title: 'Logistic regression from losses alone',
    protocol:
      'x·w with 60 features whose scale grows from 0.3 to 2, 512 examples with labels drawn from the logistic of a random w, batches of 128, from 0. c = 0.01, o = 1, α = 0.4, γ = 0.1, five directions a step. The figure is the mean loss over all examples at the end.',
    workload: { examples: 512, features: 60, batchSize: 128, steps: 400 },
    quick: { steps: 40 },
    tune: { metric: 'loss', goal: 'least' },
    columns: ['loss'],
    arms: [
      { name: 'SPSA-GC', role: 'method', settings: rules(true, GAINS) },
      { name: 'SPSA', role: 'baseline', settings: rules(false, GAINS) },
    ],
    claims: [
      {
        id: 'faster-at-equal-gain',
        statement: 'With the same gain a of 0.01, 0.03 and 0.1, SPSA-GC ends at less than 0.6 times the loss of SPSA.',
        source: 'Oh et al. 2023, section 4.2: gradient correction accelerates SPSA',
        arms: ['SPSA-GC', 'SPSA'],
        judge: (results) =>
          PAIRED_GAINS.map((a) => {
            const at = GAINS.indexOf(a);
            const [corrected, plain] = ['SPSA-GC', 'SPSA'].map(
              (arm) => results.tried(arm)[at]?.mean('loss') ?? Number.NaN,
            ) as [number, number];
            return {
              text: `a = ${a}: ${figureText(corrected)} against ${figureText(plain)}, a ratio of ${figureText(corrected / plain)} (below 0.6)`,
              holds: corrected < 0.6 * plain,
            };
          }),
      },
      {
        id: 'no-worse-tuned',
        statement: 'With the gain tuned for each, SPSA-GC ends at a loss that is not above that of SPSA.',
        source: 'Oh et al. 2023, section 4.2',
        arms: ['SPSA-GC', 'SPSA'],
        judge: (results) => {
          const { mean } = results.compare(results.chosen('SPSA-GC'), results.chosen('SPSA'), 'loss');
          return [{ text: `tuned SPSA-GC minus tuned SPSA is ${figureText(mean)} (at most 0)`, holds: mean <= 0 }];
        },
      },
    ],
    async run(given, context): Promise<RunOutcome> {
      const { correction, a } = given as { readonly correction: boolean; readonly a: number };
      const { examples, features, batchSize, steps } = context.workload;
      const data = logisticData(examples, features, context.seed);
      const outcome = await trainAndEvaluate({
        context,
        model: linear(features),
        sampler: shuffled(data, { batchSize }),
        reward: logistic,
        updateRule: correction ? spsaGc({ a }) : spsa({ a }),
        steps,
        measure: { all: () => inOrder(data) },
        curve: { of: 'all', every: steps / 10 },
      });
      return { ...outcome, metrics: { loss: outcome.metrics['allLoss'] as number } };
    },
  }),
  defineExperiment({
    id: 'disturbed-images',
    title: 'Prompts for a black box whose images are disturbed',
    protocol:
      'A network 64-64-10 that was trained on clean 8 × 8 images, and is now asked for logits only, sees images with a wave across them that is added or subtracted by chance. 160 such images, 16 a class on average, train a prompt: the coordinator (random projections as its encoder, 232 numbers) or a frame of two pixels, the same for all images, which starts at 0. Batches of 64, 400 steps, five directions a step, c = 0.01; one-sided differences get the frame and as many losses. Settings are chosen by accuracy on 300 separate images.',
    workload: {
      pretrain: 3000,
      shots: 16,
      validation: 300,
      test: 1000,
      hidden: 64,
      boxSteps: 400,
      batchSize: 64,
      steps: 400,
      strength: 0.35,
    },
    quick: { pretrain: 500, validation: 100, test: 200, boxSteps: 50, steps: 20 },
    tune: { metric: 'validationAccuracy', goal: 'most' },
    columns: ['cleanAccuracy', 'unpromptedAccuracy', 'testAccuracy', 'testLoss'],
    plot: 'testLoss',
    arms: [
      { name: 'BlackVIP', role: 'method', settings: prompting('coordinator', 'spsa-gc', [0.01, 0.03, 0.1]) },
      { name: 'coordinator, SPSA', role: 'ablation', settings: prompting('coordinator', 'spsa', [0.03, 0.1, 0.3]) },
      { name: 'frame, SPSA-GC', role: 'baseline', settings: prompting('frame', 'spsa-gc', [0.03, 0.1, 0.3]) },
      {
        name: 'BAR: frame, one-sided',
        role: 'baseline',
        settings: prompting('frame', 'one-sided', [0.1, 0.3, 1]),
      },
      {
        name: 'coordinator, gradients',
        role: 'baseline',
        settings: prompting('coordinator', 'adam', [1e-3, 3e-3, 1e-2]),
      },
      {
        name: 'BlackVIP at the default gain',
        role: 'method',
        fixed: 'Compared at equal settings.',
        settings: prompting('coordinator', 'spsa-gc', [0.01]),
      },
      {
        name: 'SPSA at the default gain',
        role: 'ablation',
        fixed: 'Compared at equal settings.',
        settings: prompting('coordinator', 'spsa', [0.01]),
      },
    ],
    claims: [
      {
        id: 'adapts-a-black-box',
        statement: 'Prompted by the coordinator, the black box is right at least 10 points more often than unprompted.',
        source: 'Oh et al. 2023, tables 1 and 2: black-box prompts against zero-shot',
        arms: ['BlackVIP'],
        judge: (results) => {
          const chosen = results.chosen('BlackVIP');
          const gain = chosen.mean('testAccuracy') - chosen.mean('unpromptedAccuracy');
          return [
            {
              text: `${figureText(100 * gain)} points above the unprompted black box (at least 10)`,
              holds: gain >= 0.1,
            },
          ];
        },
      },
      {
        id: 'prompts-per-image',
        statement:
          'Where the disturbance differs between images, prompts of the coordinator are better than one frame for all images, trained with SPSA-GC or with one-sided differences.',
        source: 'Oh et al. 2023, section 5.2: input-dependent prompts on distribution shifts',
        arms: ['BlackVIP', 'frame, SPSA-GC', 'BAR: frame, one-sided'],
        judge: (results) =>
          ['frame, SPSA-GC', 'BAR: frame, one-sided'].map((name) => {
            const { mean, differences } = results.compare(
              results.chosen('BlackVIP'),
              results.chosen(name),
              'testAccuracy',
            );
            return {
              text: `${figureText(100 * mean)} points above "${name}" (above 0, the least of a seed being ${figureText(100 * best(differences))})`,
              holds: mean > 0,
            };
          }),
      },
      {
        id: 'correction-at-the-default-gain',
        statement: 'At the default gain 0.01, SPSA-GC is at least as accurate as SPSA.',
        source: 'Oh et al. 2023, table 6: ablation of the gradient correction',
        arms: ['BlackVIP at the default gain', 'SPSA at the default gain'],
        judge: (results) => {
          const { mean } = results.compare(
            results.chosen('BlackVIP at the default gain'),
            results.chosen('SPSA at the default gain'),
            'testAccuracy',
          );
          return [{ text: `${figureText(100 * mean)} points above SPSA (at least 0)`, holds: mean >= 0 }];
        },
      },
      {
        id: 'without-gradients',
        statement:
          'Tuned BlackVIP comes within 10 points of the same coordinator trained with gradients of the black box.',
        source: 'Our question: the paper compares with white-box prompts of another form',
        arms: ['BlackVIP', 'coordinator, SPSA', 'coordinator, gradients'],
        judge: (results) => {
          const { mean } = results.compare(
            results.chosen('BlackVIP'),
            results.chosen('coordinator, gradients'),
            'testAccuracy',
          );
          return [{ text: `${figureText(100 * mean)} points above gradients (at least −10)`, holds: mean >= -0.1 }];
        },
      },
    ],
    run: promptRun,
  }),
];
