import { mapValues, RandomStream, type ParameterSpec, type UpdateRule } from '@updraft/core';
import { inOrder, shuffled, teacherTask } from '@updraft/data';
import { emptyTensor, Graph } from '@updraft/graph';
import { crossEntropy, mlp } from '@updraft/nn';
import { adam, chain, muon, partition, schedules, sgd } from '@updraft/rules';
import {
  defineExperiment,
  figureText,
  trainAndEvaluate,
  type Arm,
  type RunContext,
  type RunOutcome,
  type Setting,
} from '@updraft/testing/experiment';
import { auon, hybridAuon } from './auon.js';
import { matrixUpdate, newtonSchulz } from './matrix-update.js';

type RuleName = 'muon' | 'hybrid-auon' | 'auon' | 'auon-code' | 'normalised' | 'adam' | 'nesterov';

const settings = (rule: RuleName, ...rates: readonly number[]): Setting[] =>
  rates.map((learningRate) => ({ rule, learningRate }));

/** The rule of the matrices. */
function matrixRule(rule: RuleName, value: number, steps: number): UpdateRule {
  const learningRate = schedules.cooldown({ value, steps });
  switch (rule) {
    case 'muon':
      return muon({ learningRate });
    case 'hybrid-auon':
      return hybridAuon({ learningRate });
    case 'auon':
      return auon({ learningRate });
    case 'auon-code':
      return auon({ learningRate, normalize: false });
    case 'normalised':
      return auon({ learningRate, gamma: 0 });
    case 'adam':
      return adam({ learningRate });
    case 'nesterov':
      // Written as a sum of gradients: the same as an average with a rate 1 / (1 − μ) times larger.
      return sgd({ learningRate: schedules.cooldown({ value: 0.05 * value, steps }), momentum: 0.95, nesterov: true });
  }
}

const kind = ({ shape }: ParameterSpec): string => (shape.length >= 2 ? 'matrices' : 'others');

/** Biases follow Adam whatever moves the matrices. */
function updateRule({ rule, learningRate }: Setting, steps: number): UpdateRule {
  const others = adam({ learningRate: schedules.cooldown({ value: 3e-3, steps }) });
  return partition({
    rules: { matrices: matrixRule(rule as RuleName, learningRate as number, steps), others },
    assign: kind,
  });
}

/** Gradients 100 times too large at 2 % of the steps, drawn anew for each seed. */
function spikes(seed: number, steps: number): UpdateRule {
  const random = RandomStream.fromSeed(seed).split('spikes');
  const factors = Array.from({ length: steps }, () => (random.uniform() < 0.02 ? 100 : 1));
  const factor = (step: number): number => factors[step - 1] ?? 1;
  return {
    init: () => ({}),
    update(context) {
      const spike = context.scalar('spike', factor);
      return { grads: mapValues(context.grads, (gradient) => gradient.mul(spike)) };
    },
  };
}

const workload = { train: 6000, test: 2000, hidden: 128, batchSize: 64, steps: 600 };
const quick = { train: 1000, test: 300, steps: 60 };
const protocol =
  'An MLP 32-128-128-10 (He initialisation) learns the classes that a random network 32-24-10 gives to normal inputs. Matrices follow the rule, biases Adam with 0.003; the rate is constant and falls on a line to a tenth over the last 45 % of the steps. The claims are about optimisation: settings are chosen by the loss on the training data at the end.';

async function train(
  setting: Setting,
  context: RunContext<typeof workload>,
  wrap: (rule: UpdateRule) => UpdateRule = (rule) => rule,
): Promise<RunOutcome> {
  const { train: size, test, hidden, batchSize, steps } = context.workload;
  const data = teacherTask({ parts: { train: size, test }, seed: context.seed });
  return trainAndEvaluate({
    context,
    model: mlp({ input: [32], hidden: [hidden, hidden], classes: 10, column: 'x' }),
    sampler: shuffled(data.train, { batchSize }),
    reward: crossEntropy(),
    updateRule: wrap(updateRule(setting, steps)),
    steps,
    measure: { train: () => inOrder(data.train), test: () => inOrder(data.test) },
    curve: { of: 'test', every: Math.max(1, Math.round(steps / 10)) },
  });
}

const arm = (name: string, role: Arm['role'], rule: RuleName, ...rates: readonly number[]): Arm => ({
  name,
  role,
  settings: settings(rule, ...rates),
});

/** Loss of a uniform guess among ten classes, less a little. */
const CHANCE = 2.2;

const REPETITIONS = 100;
type Program = Awaited<ReturnType<RunContext['backend']['compile']>>;

/** AuON and its hybrid against Muon, Adam and what they reduce to. */
export const experiments = [
  defineExperiment({
    id: 'teacher',
    title: 'Teacher–student classification',
    protocol,
    workload,
    quick,
    tune: { metric: 'trainLoss', goal: 'least' },
    columns: ['trainLoss', 'testLoss', 'testAccuracy', 'stateBytes'],
    plot: 'testLoss',
    arms: [
      arm('AuON', 'method', 'auon', 0.05, 0.1, 0.2),
      arm('Hybrid-AuON', 'method', 'hybrid-auon', 0.015, 0.03, 0.06),
      arm('Muon', 'baseline', 'muon', 0.01, 0.02, 0.04),
      arm('Adam', 'baseline', 'adam', 3e-3, 1e-2, 3e-2),
      arm('Nesterov SGD', 'baseline', 'nesterov', 0.3, 1, 3),
      arm('AuON as in the code', 'method', 'auon-code', 0.3, 1, 3),
      arm('normalised momentum', 'ablation', 'normalised', 0.05, 0.1, 0.2),
    ],
    claims: [
      {
        id: 'comparable',
        statement:
          'In train loss Muon is below Hybrid-AuON, Hybrid-AuON at most 1.1 times AuON, and AuON at most 1.2 times Adam.',
        source:
          'Maity 2025, table 1 and CIFAR-10: comparable to AdamW and Muon (measured there: Muon ≈ Hybrid < AdamW < AuON)',
        arms: ['AuON', 'Hybrid-AuON', 'Muon', 'Adam', 'Nesterov SGD'],
        judge: (results) => {
          const ratio = (left: string, right: string): number => {
            results.compare(results.chosen(left), results.chosen(right), 'trainLoss');
            return results.chosen(left).mean('trainLoss') / results.chosen(right).mean('trainLoss');
          };
          const [muonRatio, hybrid, auonRatio] = [
            ratio('Muon', 'Hybrid-AuON'),
            ratio('Hybrid-AuON', 'AuON'),
            ratio('AuON', 'Adam'),
          ];
          return [
            { text: `Muon has ${figureText(muonRatio)} times the loss of Hybrid-AuON (below 1)`, holds: muonRatio < 1 },
            { text: `Hybrid-AuON has ${figureText(hybrid)} times the loss of AuON (1.1)`, holds: hybrid <= 1.1 },
            { text: `AuON has ${figureText(auonRatio)} times the loss of Adam (1.2)`, holds: auonRatio <= 1.2 },
          ];
        },
      },
      {
        id: 'code-is-nesterov',
        statement: 'At every rate the form of the authors’ code ends within 5 % of the train loss of Nesterov SGD.',
        source: 'The authors’ optimizer.py, which leaves the momentum un-normalised',
        arms: ['AuON as in the code', 'Nesterov SGD'],
        judge: (results) =>
          results.tried('AuON as in the code').map((code) => {
            const rate = code.setting['learningRate'] as number;
            const same = results.tried('Nesterov SGD').find(({ setting }) => setting['learningRate'] === rate);
            const share =
              same === undefined ? Number.NaN : Math.abs(code.mean('trainLoss') / same.mean('trainLoss') - 1);
            return { text: `at ${rate} they differ by ${figureText(100 * share)} % (5)`, holds: share < 0.05 };
          }),
      },
      {
        id: 'brake-is-idle',
        statement: 'At every rate the momentum normalised without the brake ends within 2 % of the train loss of AuON.',
        source: 'Follows from r ≈ 1 + γ²/(2N): the brake of a matrix of N elements is all but 1',
        arms: ['normalised momentum', 'AuON'],
        judge: (results) =>
          results.tried('AuON').map((braked, index) => {
            const free = results.tried('normalised momentum')[index];
            const share = Math.abs((free?.mean('trainLoss') ?? Number.NaN) / braked.mean('trainLoss') - 1);
            return {
              text: `at ${figureText(braked.setting['learningRate'] as number)} they differ by ${figureText(100 * share)} % (2)`,
              holds: share < 0.02,
            };
          }),
      },
    ],
    run: (setting, context) => train(setting, context),
  }),
  defineExperiment({
    id: 'spikes',
    title: 'Gradients with spikes',
    protocol: `${protocol} At 2 % of the steps, at random, all gradients are 100 times too large.`,
    workload,
    quick,
    tune: { metric: 'trainLoss', goal: 'least' },
    columns: ['trainLoss', 'testLoss', 'testAccuracy'],
    plot: 'testLoss',
    arms: [
      arm('AuON', 'method', 'auon', 0.03, 0.1),
      arm('Hybrid-AuON', 'method', 'hybrid-auon', 0.01, 0.03),
      arm('Muon', 'baseline', 'muon', 0.01, 0.02),
      arm('Adam', 'baseline', 'adam', 3e-3, 1e-2),
      arm('Nesterov SGD', 'baseline', 'nesterov', 0.1, 1),
      arm('AuON as in the code', 'method', 'auon-code', 0.1, 1),
    ],
    claims: [
      {
        id: 'survives-spikes',
        statement:
          'SGD and the form of the code stay at chance (train loss above 2.2) at every rate, the normalised forms get below 1.5.',
        source: 'Maity 2025, section on stability: the length of a step is bounded',
        arms: ['AuON', 'Hybrid-AuON', 'Muon', 'Adam', 'Nesterov SGD', 'AuON as in the code'],
        judge: (results) => [
          ...['Nesterov SGD', 'AuON as in the code'].flatMap((name) =>
            results.tried(name).map((result) => {
              const loss = result.mean('trainLoss');
              return {
                text: `${name} at ${figureText(result.setting['learningRate'] as number)}: ${Number.isNaN(loss) ? 'diverged' : figureText(loss)} (above ${CHANCE})`,
                holds: Number.isNaN(loss) || loss > CHANCE,
              };
            }),
          ),
          ...['AuON', 'Hybrid-AuON'].map((name) => {
            const loss = results.chosen(name).mean('trainLoss');
            return { text: `${name}: ${figureText(loss)} (below 1.5)`, holds: loss < 1.5 };
          }),
        ],
      },
    ],
    run: (setting, context) =>
      train(setting, context, (rule) => chain(spikes(context.seed, context.workload.steps), rule)),
  }),
  defineExperiment({
    id: 'cost',
    title: 'Cost of a step',
    protocol: `The update of one square matrix, compiled alone; the least of ${REPETITIONS} times for a matrix and, in turn with it, for one of four times as many elements.`,
    workload: { size: 256 },
    quick: { size: 128 },
    tune: { metric: 'ratio', goal: 'least' },
    columns: ['smallMilliseconds', 'largeMilliseconds', 'ratio'],
    arms: (['auon', 'newton-schulz'] as const).map((update) => ({
      name: update === 'auon' ? 'AuON' : 'five Newton–Schulz iterations',
      role: update === 'auon' ? 'method' : 'baseline',
      fixed: 'There is nothing to tune.',
      settings: [{ update }],
    })),
    claims: [
      {
        id: 'linear-cost',
        statement: 'Four times the elements take AuON at most 5 times as long, and Newton–Schulz longer than that.',
        source: 'Maity 2025, abstract: linear time',
        arms: ['AuON', 'five Newton–Schulz iterations'],
        judge: (results) => {
          const [linear, cubic] = ['AuON', 'five Newton–Schulz iterations'].map((name) =>
            results.chosen(name).mean('ratio'),
          ) as [number, number];
          return [
            { text: `AuON takes ${figureText(linear)} times as long (5)`, holds: linear <= 5 },
            {
              text: `Newton–Schulz takes ${figureText(cubic)} times as long (more than ${figureText(linear)})`,
              holds: cubic > linear,
            },
          ];
        },
      },
    ],
    async run(setting, { workload: { size }, seed, backend }) {
      const prepare = async (rows: number): Promise<{ run: () => Promise<number>; program: Program }> => {
        const graph = new Graph('update');
        const U = graph.input('U', 'float32', [rows, rows]);
        const step = setting['update'] === 'auon' ? matrixUpdate(U, { gamma: 1, normalize: true }) : newtonSchulz(U, 5);
        graph.output(step, 'step');
        const program = await backend.compile(graph);
        const value = emptyTensor('float32', [rows, rows]);
        RandomStream.fromSeed(seed).split('matrix').fillNormal(value.data);
        return {
          program,
          run: async () => {
            const start = performance.now();
            await program.run({ U: value });
            return performance.now() - start;
          },
        };
      };
      const both = [await prepare(size), await prepare(2 * size)] as const;
      const least = [Infinity, Infinity] as [number, number];
      // In turn, so that whatever else the machine does meets both; the first run prepares buffers.
      for (let repetition = 0; repetition <= REPETITIONS; repetition++)
        for (const [index, { run }] of both.entries()) {
          const taken = await run();
          if (repetition > 0) least[index] = Math.min(least[index] as number, taken);
        }
      for (const { program } of both) await program.dispose();
      const [smallMilliseconds, largeMilliseconds] = least;
      return { metrics: { smallMilliseconds, largeMilliseconds, ratio: largeMilliseconds / smallMilliseconds } };
    },
  }),
];
