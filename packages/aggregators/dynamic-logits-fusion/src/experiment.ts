import type { Backend } from '@updraft/backend';
import {
  aggregate,
  generate,
  merge,
  RandomStream,
  type Aggregator,
  type GenerationModel,
  type GenerationSampler,
  type NamedValues,
} from '@updraft/core';
import { gatherElements, type Tensor, type TensorData } from '@updraft/graph';
import { defineExperiment, figureText, type Setting } from '@updraft/testing/experiment';
import { dynamicLogitsFusion } from './dynamic-logits-fusion.js';
import { fusedDecode } from './fused-decode.js';
import {
  characters,
  DIGITS,
  languageModels,
  windows,
  type Kind,
  type LanguageModels,
  type LanguageSizes,
} from './language-task.js';
import { staticLogitsFusion } from './static-logits-fusion.js';
import { distanceToTruth, syntheticLogits } from './synthetic-logits.js';

const FIXED = [0.5, 1, 1.5];
const staticName = (alpha: number): string => (alpha === 1 ? 'α 1 (proxy tuning)' : `α ${alpha}`);
const WHY_FIXED = 'It has nothing to tune: the paper gives range and steps of the search.';

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
const deviation = (values: readonly number[]): number => {
  const center = mean(values);
  return Math.sqrt(mean(values.map((one) => (one - center) ** 2)));
};
const list = (value: TensorData | undefined): number[] => Array.from((value as TensorData).data as Float32Array);
const aggregatorOf = ({ alpha }: Setting): Aggregator =>
  typeof alpha === 'number' ? staticLogitsFusion({ alpha }) : dynamicLogitsFusion();

/** The arms that both experiments have. */
const arms = [
  { name: 'dynamic', role: 'method' as const, settings: [{ use: 'fusion', alpha: 'dynamic' }], fixed: WHY_FIXED },
  ...FIXED.map((alpha) => ({
    name: staticName(alpha),
    role: 'baseline' as const,
    settings: [{ use: 'fusion', alpha }],
    fixed: 'A fixed coefficient is what the method is to do without; all three are shown.',
  })),
  { name: 'large', role: 'baseline' as const, settings: [{ use: 'large' }], fixed: 'A model as it is.' },
  { name: 'expert', role: 'baseline' as const, settings: [{ use: 'expert' }], fixed: 'A model as it is.' },
];

/** Two regimes of sharpness: both models alike, and a sharp large one with flat small ones. */
const REGIMES = [
  { name: 'Even', sharpness: { large: 1, small: 1 } },
  { name: 'Uneven', sharpness: { large: 1.3, small: 0.7 } },
] as const;

async function fuseSynthetic(
  setting: Setting,
  { contexts, vocabulary }: { readonly contexts: number; readonly vocabulary: number },
  seed: number,
  backend: Backend,
): Promise<Record<string, number>> {
  const metrics: Record<string, number> = {};
  for (const { name, sharpness } of REGIMES) {
    const { truth, ...models } = syntheticLogits(contexts, vocabulary, sharpness, seed);
    const fused = async (aggregator: Aggregator) =>
      merge({
        models: [models.large, models.smallBase, models.expert].map((logits) => ({ logits })),
        ids: ['large', 'smallBase', 'expert'],
        aggregator,
        backend,
      });
    let logits: TensorData;
    if (setting['use'] === 'fusion') {
      const { values, outputs } = await fused(aggregatorOf(setting));
      logits = values['logits'] as TensorData;
      if (outputs['alpha'] !== undefined) {
        const alpha = list(outputs['alpha']);
        const found = list(outputs['objective']);
        const atOne = list((await fused(dynamicLogitsFusion({ range: [1, 1] }))).outputs['objective']);
        metrics[`alpha${name}`] = mean(alpha);
        metrics[`alphaDeviation${name}`] = deviation(alpha);
        metrics[`noWorse${name}`] = mean(found.map((J, at) => (J <= (atOne[at] as number) ? 1 : 0)));
        metrics[`gapRatio${name}`] = mean(found.map(Math.sqrt)) / mean(atOne.map(Math.sqrt));
      }
    } else logits = setting['use'] === 'large' ? models.large : models.expert;
    const { kl, top1 } = distanceToTruth(truth, logits as TensorData<'float32'>);
    metrics[`kl${name}`] = kl;
    metrics[`top1${name}`] = top1;
  }
  const average = (metric: string): number => mean(REGIMES.map(({ name }) => metrics[metric + name] as number));
  return { ...metrics, kl: average('kl'), top1: average('top1') };
}

/** Negative log-likelihood of texts under fused models, in one pass over all positions. */
const likelihood = (aggregator: Aggregator): GenerationSampler => ({
  init: () => ({}),
  steps: () => 1,
  step: (context) => {
    const { tokens, label } = context.inputs as Readonly<Record<'tokens' | 'label', Tensor>>;
    const sources = ['large', 'smallBase', 'expert'].map((id) => ({
      id,
      values: { logits: context.forward({ tokens }, id)['logits'] as Tensor },
    }));
    const fused = aggregate(aggregator, sources, context);
    const logProbs = (fused.values['logits'] as Tensor).logSoftmax(-1);
    const nll = gatherElements(logProbs, label.unsqueeze([2]), { axis: 2 })
      .mean()
      .neg();
    return { state: {}, outputs: { nll } };
  },
});

/** Models are the same for all arms of a seed: they are trained once. */
const trained = new Map<string, Promise<LanguageModels>>();
function modelsOf(sizes: LanguageSizes, seed: number, backend: Backend): Promise<LanguageModels> {
  const key = JSON.stringify([sizes, seed]);
  const known = trained.get(key) ?? languageModels(sizes, seed, backend);
  trained.set(key, known);
  return known;
}

/** All additions, and their sums. */
const ADDITIONS = Array.from({ length: DIGITS ** 2 }, (_, at) => [Math.floor(at / DIGITS), at % DIGITS] as const);
const PROMPTS = ADDITIONS.map(([a, b]) => `;${a}+${b}=`);
const ANSWERS = ADDITIONS.map(([a, b]) => String(a + b));

async function fuseLanguage(
  setting: Setting,
  sizes: LanguageSizes & { readonly evaluated: number },
  seed: number,
  backend: Backend,
): Promise<Record<string, number>> {
  const { large, smallBase, additions, past } = await modelsOf(sizes, seed, backend);
  // A model alone is a fusion of which it is the large model and nothing is added.
  const alone = setting['use'] !== 'fusion';
  const aggregator = alone ? staticLogitsFusion({ alpha: 0 }) : aggregatorOf(setting);
  const lead = (expert: GenerationModel): GenerationModel => (setting['use'] === 'expert' ? expert : large);
  const decoder = fusedDecode({
    large: lead(additions),
    smallBase,
    experts: [additions],
    tokenizer: characters,
    backend,
    aggregator,
  });
  const decoded = await decoder.generateAll(PROMPTS, { maxTokens: 1 });
  const written = await decoder.generateAll([';'], { maxTokens: 18 });
  await decoder.dispose();
  const nll = async (kind: Kind, expert: GenerationModel): Promise<number> => {
    const models: NamedValues<GenerationModel> = { large: lead(expert), smallBase, expert };
    const inputs = windows(kind, sizes.evaluated, RandomStream.fromSeed(seed).split('fusion-evaluation').split(kind));
    const { outputs } = await generate({ models, sampler: likelihood(aggregator), backend, inputs }).result();
    return list(outputs['nll'])[0] as number;
  };
  const trace = (written[0]?.alphaTrace ?? []).map(([alpha]) => alpha as number);
  const answering = decoded.flatMap(({ alphaTrace }) => alphaTrace.map(([alpha]) => alpha as number));
  return {
    exactMatch: mean(decoded.map(({ text }, at) => (text === ANSWERS[at] ? 1 : 0))),
    nllAdditions: await nll('additions', additions),
    nllPast: await nll('past', past),
    nllBase: await nll('base', additions),
    ...(trace.length === 0
      ? {}
      : { alphaDeviation: deviation([...trace, ...answering]), alphaOfAnswers: mean(answering) }),
  };
}

/** Fusion of synthetic logits whose truth is known, and of small language models. */
export const experiments = [
  defineExperiment({
    id: 'synthetic-logits',
    title: 'Synthetic logits with a known truth',
    protocol:
      'In 1,500 contexts over 50 tokens, base logits B ~ 2·N(0,1) are shifted by a task D ~ 2·N(0,1) in a random half of the contexts, by 0.1·N(0,1) in the others; the truth is softmax(B + D). The large model has B with an error of 0.3; small base and expert share an error of 1, and the expert has D with an error of 0.5 besides. In the even regime all are as sharp as that, in the uneven one logits of the large model are multiplied by 1.3, of the small ones by 0.7.',
    workload: { contexts: 1500, vocabulary: 50 },
    quick: { contexts: 200 },
    tune: { metric: 'kl', goal: 'least' },
    columns: ['klEven', 'klUneven', 'kl', 'top1Even', 'top1Uneven'],
    arms,
    claims: [
      {
        id: 'better-than-its-sources',
        statement:
          'In both regimes the fusion names the most probable token of the truth at least 12 points more often than the large model and than the expert.',
        source:
          "Fan et al. 2024, main results: better than the small expert and the large base; the figures are the card's",
        arms: ['dynamic', 'large', 'expert'],
        judge: (results) =>
          ['top1Even', 'top1Uneven'].flatMap((metric) =>
            ['large', 'expert'].map((other) => {
              const gain = results.compare(results.chosen('dynamic'), results.chosen(other), metric);
              return {
                text: `${metric}: ${figureText(gain.mean)} above the ${other} model (0.12)`,
                holds: gain.mean >= 0.12,
              };
            }),
          ),
      },
      {
        id: 'better-than-fixed',
        statement: 'Over both regimes together its KL divergence from the truth is below that of α 0.5, 1 and 1.5.',
        source: 'Fan et al. 2024, comparison with proxy tuning',
        arms: ['dynamic', ...FIXED.map(staticName)],
        judge: (results) =>
          FIXED.map((alpha) => {
            const { mean: difference } = results.compare(
              results.chosen(staticName(alpha)),
              results.chosen('dynamic'),
              'kl',
            );
            return {
              text: `${staticName(alpha)} is ${figureText(difference)} further from the truth (above 0)`,
              holds: difference > 0,
            };
          }),
      },
      {
        id: 'moves-as-far',
        statement:
          'The chosen α meets the objective in every context at least as well as α 1, brings its root to less than half, and differs between contexts (standard deviation above 0.1).',
        source: 'Fan et al. 2024, the objective and its analysis of α',
        arms: ['dynamic'],
        judge: (results) =>
          REGIMES.flatMap(({ name }) => {
            const dynamic = results.chosen('dynamic');
            const [share, ratio, spread] = [
              Math.min(...dynamic.values(`noWorse${name}`)),
              dynamic.mean(`gapRatio${name}`),
              dynamic.mean(`alphaDeviation${name}`),
            ];
            return [
              { text: `${name}: no worse than α 1 in a share of ${figureText(share)} (1)`, holds: share === 1 },
              { text: `${name}: √J is ${figureText(ratio)} of that of α 1 (0.5)`, holds: ratio < 0.5 },
              { text: `${name}: α varies by ${figureText(spread)} (0.1)`, holds: spread > 0.1 },
            ];
          }),
      },
    ],
    async run(setting, { workload, seed, backend }) {
      return { metrics: await fuseSynthetic(setting, workload, seed, backend) };
    },
  }),
  defineExperiment({
    id: 'character-models',
    title: 'Character language models',
    protocol:
      'A small (width 32) and a large transformer (width 64, both 2 layers, context 24) learn a text of additions with random answers and sentences in the present. Experts are the small one tuned on additions with right answers, or on sentences in the past. Summands are below 5: sums of all digits take the small model more steps than are spent here. Exact match of all 25 answers, decoded greedily; negative log-likelihood per character of fresh texts of both tasks, and of the base text with the expert for additions.',
    workload: { smallWidth: 32, largeWidth: 64, rows: 4000, baseSteps: 200, expertSteps: 500, evaluated: 64 },
    quick: { largeWidth: 48, rows: 500, baseSteps: 40, expertSteps: 40, evaluated: 16 },
    tune: { metric: 'exactMatch', goal: 'most' },
    columns: ['exactMatch', 'nllAdditions', 'nllPast', 'nllBase'],
    arms,
    claims: [
      {
        id: 'as-good-as-the-expert',
        statement:
          'The fusion answers additions at least as well as the expert, and better than the large model by at least 50 points.',
        source: 'Fan et al. 2024, main results: the fused model is above the small expert',
        arms: ['dynamic', 'expert', 'large'],
        judge: (results) => {
          const dynamic = results.chosen('dynamic');
          const expert = results.compare(dynamic, results.chosen('expert'), 'exactMatch');
          const large = results.compare(dynamic, results.chosen('large'), 'exactMatch');
          return [
            {
              text: `exact match is ${figureText(expert.mean)} above the expert (at least 0)`,
              holds: expert.mean >= 0,
            },
            { text: `${figureText(large.mean)} above the large model (0.5)`, holds: large.mean >= 0.5 },
          ];
        },
      },
      {
        id: 'adapts-alpha',
        statement:
          'α is not constant over the tokens (standard deviation above 0.1) and at least 0.8 on average where answers stand.',
        source: 'Fan et al. 2024, analysis of α along a text',
        arms: ['dynamic'],
        judge: (results) => {
          const dynamic = results.chosen('dynamic');
          const [spread, answers] = [dynamic.mean('alphaDeviation'), dynamic.mean('alphaOfAnswers')];
          return [
            { text: `α varies by ${figureText(spread)} (0.1)`, holds: spread > 0.1 },
            { text: `it is ${figureText(answers)} at answers (0.8)`, holds: answers >= 0.8 },
          ];
        },
      },
      {
        id: 'gains-on-proxy-tuning',
        statement: 'On both tasks its texts are at least as likely as with α 1.',
        source: 'Fan et al. 2024, table: 46.09 against 44.43 of proxy tuning',
        arms: ['dynamic', staticName(1)],
        judge: (results) =>
          ['nllAdditions', 'nllPast'].map((metric) => {
            const { mean: gain } = results.compare(results.chosen(staticName(1)), results.chosen('dynamic'), metric);
            return { text: `${metric}: ${figureText(gain)} below that of α 1 (at least 0)`, holds: gain >= 0 };
          }),
      },
    ],
    async run(setting, { workload, seed, backend }) {
      return { metrics: await fuseLanguage(setting, workload, seed, backend) };
    },
  }),
];
