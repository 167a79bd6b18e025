import { RandomStream, modelSpecs, train, type Model } from '@updraft/core';
import { pixelNoise, prototypeImages, randomRoll, randomScale, type ImageStep } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { dense, flatten, heNormal, relu, sequential } from '@updraft/nn';
import { adam } from '@updraft/rules';
import { defineExperiment, figureText, type Results, type SettingResult } from '@updraft/testing/experiment';
import { barlowTwins } from './barlow-twins.js';
import { linearProbe } from './linear-probe.js';
import { encoderModel, projector, twinModel } from './twin-model.js';
import { twinViews } from './twin-views.js';

type Features = 'barlow-twins' | 'invariance-only' | 'redundancy-only' | 'random' | 'pixels';

const input = [1, 8, 8];
const encoder = sequential(
  flatten,
  dense({ units: 128, initialize: heNormal }),
  relu,
  dense({ units: 64, initialize: heNormal }),
  relu,
);
const view: ImageStep[] = [
  randomRoll({ pixels: 1 }),
  randomScale({ from: 0.7, to: 1.3 }),
  pixelNoise({ deviation: 0.6 }),
];
/** Penalties of the probe that are tried. */
const PENALTIES = [1e-3, 1e-2, 1e-1];

/** Untrained values of a model. */
const firstValues = (model: Model, seed: number): Record<string, TensorData> =>
  Object.fromEntries(
    Object.values(modelSpecs(model).params).map(({ name, shape, initialize }) => [
      name,
      {
        dataType: 'float32',
        dims: shape,
        data: initialize(shape, RandomStream.fromSeed(seed).split('parameters').split(name)),
      },
    ]),
  );

const ARMS: readonly (readonly [name: string, features: Features, role: 'method' | 'baseline' | 'ablation'])[] = [
  ['Barlow Twins', 'barlow-twins', 'method'],
  ['untrained encoder', 'random', 'baseline'],
  ['raw pixels', 'pixels', 'baseline'],
  ['invariance only (λ = 0)', 'invariance-only', 'ablation'],
  ['redundancy only', 'redundancy-only', 'ablation'],
];

const smallest = (differences: readonly number[]): number => Math.min(...differences);
const values = (result: SettingResult, metric: string): string => result.values(metric).map(figureText).join(', ');
const better = (results: Results, than: string, by: number): { text: string; holds: boolean } => {
  const { differences } = results.compare(results.chosen('Barlow Twins'), results.chosen(than), 'testAccuracy');
  return {
    text: `on no seed is its accuracy less than ${figureText(smallest(differences))} above that of ${than} (${by})`,
    holds: smallest(differences) > by,
  };
};

/** Linear evaluation of features that were learned without labels, on noisy images of ten patterns. */
export const experiments = [
  defineExperiment({
    id: 'linear-evaluation',
    title: 'Linear evaluation with few labels',
    protocol:
      'Images of 8 × 8 pixels: ten smooth random patterns of unit variance, rolled by up to one pixel, with normal noise of unit variance. Encoder 64-128-64 with ReLU on both layers, projector 128-128 with batch normalisation; 500 steps of Adam at 0.001 on batches of 256 of 3,000 unlabelled images; views are rolled by up to one pixel, scaled by 0.7 to 1.3, with noise of 0.6. The probe is multinomial logistic regression on 100 labelled images (300 full-batch steps at 0.5, standardised features); its L2 penalty, of 0.001, 0.01 and 0.1, is chosen for every arm and seed by accuracy on 500 other images, and figures are of 1,500 test images.',
    workload: { unlabelled: 3000, labelled: 100, validation: 500, test: 1500, batchSize: 256, steps: 500 },
    quick: { unlabelled: 512, validation: 200, test: 200, steps: 20 },
    tune: { metric: 'validationAccuracy', goal: 'most' },
    columns: ['testAccuracy', 'validationAccuracy'],
    arms: ARMS.map(([name, features, role]) => ({ name, role, settings: [{ features }] })),
    claims: [
      {
        id: 'features-beat-pixels',
        statement:
          'On every seed, a linear classifier on Barlow Twins features is better than one on raw pixels, and by 0.15 than one on the untrained encoder.',
        source: 'Zbontar et al. 2021, section 3.1: linear and semi-supervised evaluation on ImageNet',
        arms: ['Barlow Twins', 'untrained encoder', 'raw pixels'],
        judge: (results) => [better(results, 'untrained encoder', 0.15), better(results, 'raw pixels', 0)],
      },
      {
        id: 'needs-both-terms',
        statement:
          'On every seed, accuracy is 0.1 above that of the invariance term alone, whose features repeat each other: mean |C_ij| above 0.8, against below 0.4.',
        source:
          'Zbontar et al. 2021, section 4, ablation of the loss: without the redundancy term the features collapse',
        arms: ['Barlow Twins', 'invariance only (λ = 0)', 'redundancy only'],
        judge: (results) => {
          const [own, other] = [results.chosen('Barlow Twins'), results.chosen('invariance only (λ = 0)')];
          return [
            better(results, 'invariance only (λ = 0)', 0.1),
            {
              text: `mean |C_ij| is ${values(own, 'meanOffDiag')} (below 0.4)`,
              holds: own.values('meanOffDiag').every((value) => value < 0.4),
            },
            {
              text: `without the redundancy term ${values(other, 'meanOffDiag')} (above 0.8)`,
              holds: other.values('meanOffDiag').every((value) => value > 0.8),
            },
          ];
        },
      },
    ],
    async run(setting, { seed, workload, backend, signal, progress }) {
      const features = setting['features'] as Features;
      const { unlabelled, labelled, validation, test, batchSize, steps } = workload;
      const data = prototypeImages({ parts: { unlabelled, labelled, validation, test }, seed });
      const model =
        features === 'pixels' ? encoderModel({ input, encoder: flatten }) : encoderModel({ input, encoder });
      let trained: Readonly<Record<string, TensorData>> = firstValues(model, seed);
      const metrics: Record<string, number> = {};
      const curve = { steps: [] as number[], values: [] as number[] };
      if (features !== 'random' && features !== 'pixels') {
        const run = train({
          model: twinModel({ input, encoder, projector: projector([128, 128]) }),
          sampler: twinViews(data.unlabelled, { augmentA: view, augmentB: view, batchSize }),
          reward: barlowTwins({
            lambda: features === 'invariance-only' ? 0 : 0.0051,
            invariance: features !== 'redundancy-only',
          }),
          updateRule: adam({ learningRate: 1e-3 }),
          backend,
          seed,
          steps,
          ...(signal === undefined ? {} : { signal }),
        });
        const last: number[] = [];
        for await (const event of run)
          if (event.type === 'step') {
            progress(event.step / steps);
            const value = event.metrics['meanOffDiag'] as number;
            if (event.step > steps - 20) last.push(value);
            if (event.step % 10 === 0) {
              curve.steps.push(event.step);
              curve.values.push(value);
            }
          }
        signal?.throwIfAborted();
        trained = (await run.result()).params;
        metrics['meanOffDiag'] = last.reduce((sum, value) => sum + value, 0) / last.length;
      }
      let best = -1;
      for (const weightDecay of PENALTIES) {
        const probe = { backend, model, values: trained, train: data.labelled, weightDecay };
        const { testAccuracy: accuracy } = await linearProbe({ ...probe, test: data.validation });
        if (accuracy <= best) continue;
        best = accuracy;
        metrics['validationAccuracy'] = accuracy;
        metrics['testAccuracy'] = (await linearProbe({ ...probe, test: data.test })).testAccuracy;
      }
      return { metrics, ...(curve.steps.length === 0 ? {} : { curves: { meanOffDiag: curve } }) };
    },
  }),
];
