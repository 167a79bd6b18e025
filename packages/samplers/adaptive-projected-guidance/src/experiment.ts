import type { Backend } from '@updraft/backend';
import {
  defineModel,
  generate,
  RandomStream,
  train,
  type GenerationModel,
  type GenerationSampler,
  type Model,
} from '@updraft/core';
import { fromTensors, shuffled, type Dataset } from '@updraft/data';
import { mnist } from '@updraft/data/node';
import { emptyTensor, type Tensor, type TensorData } from '@updraft/graph';
import { crossEntropy, dense, named, sequential, tanh } from '@updraft/nn';
import { adam, schedules } from '@updraft/rules';
import { defineExperiment, figureText, type RunContext, type Setting } from '@updraft/testing/experiment';
import { diffusionSampler } from './diffusion-sampler.js';
import { frechetDistance } from './frechet-distance.js';
import { gaussianMixture } from './gaussian-mixture.js';
import { apg, cfg, type Guidance } from './guidance.js';
import { denoisingLoss, labelledDenoiser } from './labelled-denoiser.js';

interface Options {
  readonly scale: number;
  /** Absent: classifier-free guidance. */
  readonly eta?: number;
  readonly normThreshold?: number;
  readonly momentum?: number;
}

const guidanceOf = (setting: Setting): Guidance => {
  const { scale, ...rest } = setting as unknown as Options;
  return rest.eta === undefined ? cfg(scale) : apg({ scale, ...rest });
};

const floats = (value: TensorData | undefined): Float32Array => (value as TensorData<'float32'>).data;
const labelTensor = (values: readonly number[]): TensorData<'int64'> => ({
  dataType: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const rowsOf = (values: Float32Array, width: number): Float32Array[] =>
  Array.from({ length: values.length / width }, (_, row) => values.subarray(row * width, (row + 1) * width));
const squaredDistance = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, at) => sum + (value - (b[at] as number)) ** 2, 0);

const exactMixture = defineExperiment({
  id: 'exact-mixture',
  title: 'Exact denoisers of a mixture of normal distributions',
  protocol:
    'Eight classes N(μ_k, 0.3²·I) in 16 dimensions, μ_k = 1 + N(0, I); both predictions are exact, so that nothing is trained. 400 samples of random classes by 40 Euler steps, σ from 20 to 0.02 with ρ = 7. `normRatio` is the mean of ‖x‖/√(‖μ‖² + 16·0.3²), `zScore` the root mean square of (x − μ)/0.3, `accuracy` the share of samples nearest to the mean that was asked for.',
  workload: { classes: 8, width: 16, deviation: 0.3, samples: 400, steps: 40 },
  quick: { samples: 100, steps: 20 },
  tune: { metric: 'zScore', goal: 'least' },
  columns: ['normRatio', 'zScore', 'accuracy'],
  plot: 'normRatio',
  arms: [
    { name: 'No guidance', role: 'baseline', settings: [{ scale: 1 }] },
    { name: 'CFG', role: 'baseline', settings: [{ scale: 10 }] },
    { name: 'APG η = 0', role: 'ablation', settings: [{ scale: 10, eta: 0 }] },
    { name: 'APG η = 0, r = 1', role: 'ablation', settings: [{ scale: 10, eta: 0, normThreshold: 1 }] },
    { name: 'APG', role: 'method', settings: [{ scale: 10, eta: 0, normThreshold: 1, momentum: -0.5 }] },
  ],
  claims: [
    {
      id: 'saturation',
      statement:
        'At w = 10, classifier-free guidance makes samples more than 8 % too long on every seed; without the parallel part (η = 0) they are within 2 %.',
      source: 'Sadat et al. 2024, abstract: the parallel part of the update causes over-saturation',
      arms: ['No guidance', 'CFG', 'APG η = 0'],
      judge: (results) => {
        const [plain, projected] = [results.chosen('CFG'), results.chosen('APG η = 0')];
        results.compare(plain, projected, 'normRatio');
        const [least, most] = [
          Math.min(...plain.values('normRatio')),
          Math.max(...projected.values('normRatio').map((value) => Math.abs(value - 1))),
        ];
        return [
          { text: `CFG: at least ${figureText(100 * (least - 1))} % too long (8)`, holds: least > 1.08 },
          { text: `η = 0: at most ${figureText(100 * most)} % off (2)`, holds: most < 0.02 },
        ];
      },
    },
    {
      id: 'limited-norm',
      statement:
        'At w = 10, limiting the norm of the update to r = 1 brings the deviation of samples from the centre of their class from above 1.2 to below 1.1 times that of the data on every seed, with all samples of their class.',
      source: 'Sadat et al. 2024, abstract: rescaling keeps updates from overshooting',
      arms: ['CFG', 'APG η = 0', 'APG η = 0, r = 1', 'APG'],
      judge: (results) => {
        const [plain, limited, whole] = [
          results.chosen('APG η = 0'),
          results.chosen('APG η = 0, r = 1'),
          results.chosen('APG'),
        ];
        results.compare(limited, plain, 'zScore');
        results.compare(whole, limited, 'zScore');
        const before = Math.min(...plain.values('zScore'));
        const after = Math.max(...limited.values('zScore'), ...whole.values('zScore'));
        const accuracy = Math.min(...limited.values('accuracy'), ...whole.values('accuracy'));
        return [
          { text: `without the limit at least ${figureText(before)} (1.2)`, holds: before > 1.2 },
          { text: `with it, and with momentum, at most ${figureText(after)} (1.1)`, holds: after < 1.1 },
          { text: `accuracy at least ${figureText(accuracy)} (1)`, holds: accuracy === 1 },
        ];
      },
    },
  ],
  async run(setting, { workload, seed, backend }) {
    const { classes, width, deviation, samples, steps } = workload;
    const random = RandomStream.fromSeed(seed).split('mixture');
    const means = emptyTensor('float32', [classes, width]);
    random.split('means').fillNormal(means.data);
    means.data.forEach((value, at) => (means.data[at] = 1 + value));
    const choice = random.split('labels');
    const labels = Array.from({ length: samples }, () => choice.integer(classes));
    const { trajectory } = await generate({
      models: { denoiser: gaussianMixture(means, deviation) },
      inputs: { label: labelTensor(labels) },
      sampler: diffusionSampler({
        shape: [width],
        steps,
        largestNoise: 20,
        smallestNoise: 0.02,
        nullLabel: classes,
        guidance: guidanceOf(setting),
      }),
      backend,
      seed,
      record: ['denoised', 'state/x'],
    }).result();
    const centres = rowsOf(means.data, width);
    const zero = new Float32Array(width);
    const normRatio = (x: Float32Array, at: number): number => {
      const centre = centres[labels[at] as number] as Float32Array;
      return Math.sqrt(squaredDistance(x, zero) / (squaredDistance(centre, zero) + width * deviation ** 2));
    };
    const found = rowsOf(floats(trajectory['state/x']?.at(-1)), width).map((x, at) => {
      const distances = centres.map((other) => squaredDistance(x, other));
      const own = distances[labels[at] as number] as number;
      return {
        norm: normRatio(x, at),
        square: own / (width * deviation ** 2),
        right: Math.min(...distances) === own ? 1 : 0,
      };
    });
    // Of the guided predictions of clean data, step by step.
    const predicted = (trajectory['denoised'] ?? []).map((D) => average(rowsOf(floats(D), width).map(normRatio)));
    return {
      metrics: {
        normRatio: average(found.map(({ norm }) => norm)),
        zScore: Math.sqrt(average(found.map(({ square }) => square))),
        accuracy: average(found.map(({ right }) => right)),
      },
      curves: { normRatio: { steps: predicted.map((_, at) => at + 1), values: predicted } },
    };
  },
});

const SIDE = 8;
const PIXELS = SIDE * SIDE;
const DIGITS = 10;

/** MNIST, cut to 24 × 24 and averaged over 3 × 3 to 8 × 8 pixels from −1 (paper) to 1 (ink). */
function smallDigits(
  source: Dataset,
  from: number,
  count: number,
): { readonly x: Float32Array; readonly label: BigInt64Array } {
  const x = new Float32Array(count * PIXELS);
  const label = new BigInt64Array(count);
  const image = emptyTensor('float32', [1, 1, 28, 28]);
  const digit = emptyTensor('int64', [1]);
  for (let row = 0; row < count; row++) {
    source.read('image', from + row, image, 0);
    source.read('label', from + row, digit, 0);
    label[row] = digit.data[0] as bigint;
    for (let y = 0; y < 24; y++)
      for (let column = 0; column < 24; column++) {
        const at = row * PIXELS + Math.floor(y / 3) * SIDE + Math.floor(column / 3);
        x[at] = (x[at] as number) + (image.data[(y + 2) * 28 + column + 2] as number) / 9;
      }
  }
  return { x, label };
}

/** A classifier whose last hidden layer gives the features of the distance. */
const featureClassifier: Model = defineModel({
  name: 'feature-classifier',
  inputs: { x: { dataType: 'float32', shape: ['batch', PIXELS] } },
  build: (scope, { x }) => {
    const features = sequential(
      dense({ units: 64 }),
      tanh,
      named('features', dense({ units: 16 })),
      tanh,
    )(scope, x as Tensor);
    return { logits: dense({ units: DIGITS, name: 'head' })(scope, features), features };
  },
});

/** A single evaluation of a model, as a generation of one step. */
const once: GenerationSampler = {
  init: () => ({}),
  steps: () => 1,
  step: ({ forward, inputs }) => ({ state: {}, outputs: forward(inputs) }),
};

async function classify(
  classifier: GenerationModel,
  x: Float32Array,
  backend: Backend,
): Promise<{ readonly features: Float32Array[]; readonly classes: number[] }> {
  const inputs = { x: { dataType: 'float32' as const, dims: [x.length / PIXELS, PIXELS], data: x } };
  const { outputs } = await generate({ models: { classifier }, sampler: once, inputs, backend }).result();
  return {
    features: rowsOf(floats(outputs['features']), 16),
    classes: rowsOf(floats(outputs['logits']), DIGITS).map((logits) => logits.indexOf(Math.max(...logits))),
  };
}

type DigitsWorkload = typeof digitsWorkload;
const digitsWorkload = {
  train: 8000,
  reference: 2000,
  samples: 1000,
  steps: 3000,
  classifierSteps: 600,
  generationSteps: 30,
};

interface Trained {
  readonly denoiser: GenerationModel;
  readonly classifier: GenerationModel;
  readonly reference: Float32Array;
  readonly features: readonly Float32Array[];
}

async function trainDigits({
  seed,
  workload,
  backend,
  signal,
  progress,
}: RunContext<DigitsWorkload>): Promise<Trained> {
  const source = await mnist('train', { mean: 0.5, deviation: 0.5 });
  const { x, label } = smallDigits(source, 0, workload.train);
  const dataset = fromTensors({
    x: { dataType: 'float32', dims: [workload.train, PIXELS], data: x },
    label: { dataType: 'int64', dims: [workload.train], data: label },
  });
  const centre = average(Array.from(x));
  const dataDeviation = Math.sqrt(average(Array.from(x, (value) => (value - centre) ** 2)));
  const fit = async (
    model: Model,
    reward: Parameters<typeof train>[0]['reward'],
    steps: number,
  ): Promise<GenerationModel> => {
    const run = train({
      model,
      reward,
      steps,
      seed,
      backend,
      sampler: shuffled(dataset, { batchSize: 128 }),
      updateRule: adam({ learningRate: schedules.cosine({ from: 2e-3, steps }) }),
      ...(signal === undefined ? {} : { signal }),
    });
    for await (const event of run) if (event.type === 'step') progress((0.9 * event.step) / steps);
    signal?.throwIfAborted();
    const { params } = await run.result();
    return { model, values: params };
  };
  const classifier = await fit(featureClassifier, crossEntropy(), workload.classifierSteps);
  const settings = { classes: DIGITS, dataDeviation };
  const network = labelledDenoiser({ width: PIXELS, hidden: [192, 192], ...settings });
  const denoiser = await fit(network, denoisingLoss({ column: 'x', ...settings }), workload.steps);
  const reference = smallDigits(source, 60_000 - workload.reference, workload.reference).x;
  const { features } = await classify(classifier, reference, backend);
  return { denoiser, classifier, reference, features };
}

/** Networks of each seed and workload: all arms are guided through the same ones. */
const trained = new Map<string, Promise<Trained>>();

const contrastOf = (x: Float32Array): number =>
  average(
    rowsOf(x, PIXELS).map((image) => {
      const mean = average(Array.from(image));
      return Math.sqrt(average(Array.from(image, (value) => (value - mean) ** 2)));
    }),
  );
const saturatedOf = (x: Float32Array): number => average(Array.from(x, (value) => (Math.abs(value) > 0.95 ? 1 : 0)));

const SCALES = [2, 4, 8];
const adaptive = { eta: 0, normThreshold: 2.5, momentum: -0.5 };

const digits = defineExperiment({
  id: 'digits',
  title: 'Guided digits of 8 × 8 pixels',
  protocol:
    'A preconditioned MLP denoiser (64-192-192-64) learns MNIST at 8 × 8 pixels from −1 to 1, with 10 % of the labels dropped; 1000 samples of each arm by 30 Euler steps through the same network. `frechet` is the Fréchet distance to 2000 held-back digits on 16 features of a small classifier, `accuracy` what that classifier says, `contrast` the mean standard deviation of the pixels of an image relative to that of real ones, `saturated` the share of pixels beyond ±0.95 less that of real ones.',
  workload: digitsWorkload,
  quick: { train: 1000, reference: 500, samples: 100, steps: 150, classifierSteps: 100, generationSteps: 10 },
  tune: { metric: 'frechet', goal: 'least' },
  columns: ['frechet', 'accuracy', 'contrast', 'saturated'],
  arms: [
    { name: 'No guidance', role: 'baseline', settings: [{ scale: 1 }] },
    ...SCALES.map((scale) => ({ name: `CFG w = ${scale}`, role: 'baseline' as const, settings: [{ scale }] })),
    ...SCALES.map((scale) => ({
      name: `APG w = ${scale}`,
      role: 'method' as const,
      settings: [{ scale, ...adaptive }],
    })),
  ],
  claims: [
    {
      id: 'quality-at-high-scales',
      statement:
        'From w = 2 to w = 8 the Fréchet distance of CFG grows at least twice as much as that of APG, at w = 8 APG is nearer to the data on every seed, and its samples are of their class as often as those of CFG, within 2 points.',
      source: 'Sadat et al. 2024, abstract: better FID, recall and saturation at high scales, at similar precision',
      arms: ['No guidance', ...SCALES.flatMap((scale) => [`CFG w = ${scale}`, `APG w = ${scale}`])],
      judge: (results) => {
        const growth = (name: string): number =>
          results.compare(results.chosen(`${name} w = 8`), results.chosen(`${name} w = 2`), 'frechet').mean;
        const [plain, projected] = [growth('CFG'), growth('APG')];
        const { differences } = results.compare(results.chosen('APG w = 8'), results.chosen('CFG w = 8'), 'frechet');
        const accuracy = results.compare(results.chosen('APG w = 8'), results.chosen('CFG w = 8'), 'accuracy').mean;
        return [
          {
            text: `the distance of CFG grows by ${figureText(plain)}, that of APG by ${figureText(projected)} (half at most)`,
            holds: plain > 0 && projected <= plain / 2,
          },
          {
            text: `at w = 8 APG is nearer by ${figureText(-Math.max(...differences))} or more (0)`,
            holds: Math.max(...differences) < 0,
          },
          {
            text: `its accuracy is ${figureText(100 * accuracy)} points above that of CFG (−2 or more)`,
            holds: accuracy >= -0.02,
          },
        ];
      },
    },
    {
      id: 'contrast',
      statement:
        'At w = 8 the contrast of samples of CFG is farther from that of real digits than that of APG, on every seed.',
      source: 'Sadat et al. 2024, abstract: saturation and contrast stay those of real images',
      arms: ['CFG w = 8', 'APG w = 8'],
      judge: (results) => {
        const [plain, projected] = [results.chosen('CFG w = 8'), results.chosen('APG w = 8')];
        results.compare(plain, projected, 'contrast');
        results.compare(plain, projected, 'saturated');
        const [far, near] = [plain, projected].map((arm) => arm.values('contrast').map((value) => Math.abs(value - 1)));
        return [
          {
            text: `CFG is ${figureText(100 * average(far as number[]))} % off, APG ${figureText(100 * average(near as number[]))} %`,
            holds: (far as number[]).every((value, at) => value > (near?.[at] as number)),
          },
        ];
      },
    },
  ],
  async run(setting, context) {
    const { workload, seed, backend } = context;
    const key = JSON.stringify([seed, workload]);
    const networks = trained.get(key) ?? trainDigits(context);
    trained.set(key, networks);
    const { denoiser, classifier, reference, features } = await networks;
    const asked = Array.from({ length: workload.samples }, (_, at) => at % DIGITS);
    const { state } = await generate({
      models: { denoiser },
      inputs: { label: labelTensor(asked) },
      sampler: diffusionSampler({
        shape: [PIXELS],
        steps: workload.generationSteps,
        largestNoise: 20,
        smallestNoise: 0.02,
        nullLabel: DIGITS,
        guidance: guidanceOf(setting),
      }),
      backend,
      seed,
    }).result();
    const x = floats(state['x']);
    const found = await classify(classifier, x, backend);
    return {
      metrics: {
        frechet: frechetDistance(found.features, features),
        accuracy: average(found.classes.map((digit, at) => (digit === asked[at] ? 1 : 0))),
        contrast: contrastOf(x) / contrastOf(reference),
        saturated: saturatedOf(x) - saturatedOf(reference),
      },
    };
  },
});

/** Guidance against over-saturation: where both predictions are exact, and on digits. */
export const experiments = [exactMixture, digits];
