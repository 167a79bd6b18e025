import { beforeAll, describe, expect, test } from '@jest/globals';
import { standardRules } from '@updraft/autodiff';
import {
  batchNormalizationTraining,
  Graph,
  logSoftmax,
  softmaxCrossEntropyLossWithLogProbabilities,
  tensor,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import { WEBGPU_PLACEMENT } from '../../autodiff/src/webgpu-placement.js';
import { createBackend } from './create-backend.js';
import { networkGraph, takeSteps } from './testing/steps.js';
import { OPERATOR_CASES } from './testing/operator-cases.js';
import { measureOperators, placements, runScript } from './testing/webgpu-process.js';
import type { TrainingResult, TrainingResults } from './testing/webgpu-training-run.js';
import { lowerForWebgpu } from './webgpu-lowering.js';

// `npm test` points Vulkan at the software driver of Debian's Chromium where that is installed.
const webgpu = process.env['VK_ICD_FILENAMES'] === undefined ? describe.skip : describe;

interface StepResults {
  readonly steps: Awaited<ReturnType<typeof takeSteps>>;
  readonly network: Readonly<Record<string, readonly number[]>>;
  readonly fallen: readonly (readonly [string, number])[];
}

/** Differences between the devices, relative to the largest value of a tensor. */
const TOLERANCE = 1e-4;
/** WGSL promises sines and cosines to an absolute error of 2⁻¹¹ (section 14.6.2, accuracy of built-in functions). */
const TOLERANCES: Readonly<Record<string, number>> = { Sin: 2 ** -11, Cos: 2 ** -11 };

/**
 * What steps leave to the CPU, and why. Whatever is added here costs a journey of its tensors at every step.
 * Unsqueeze, Equal and Reshape: of int64 labels and token numbers, a few bytes. MaxPool (with indices) and MaxUnpool: the
 * provider has neither, and the gradient of max pooling is made of them.
 */
const LEFT_TO_CPU: Readonly<Record<string, readonly string[]>> = {
  mlp: ['Equal', 'Unsqueeze'],
  cnn: ['Equal', 'MaxPool', 'MaxUnpool', 'Unsqueeze'],
  resnet: ['Equal', 'Unsqueeze'],
  gpt: ['Equal', 'Reshape', 'Unsqueeze'],
};

webgpu('programs on WebGPU', () => {
  let steps: StepResults;
  let operators: Awaited<ReturnType<typeof measureOperators>>;
  let training: TrainingResults;
  beforeAll(async () => {
    // The software driver waits more than it computes.
    [steps, operators, training] = (await Promise.all([
      runScript('webgpu-run'),
      measureOperators(),
      runScript('webgpu-training-run'),
    ])) as [StepResults, typeof operators, TrainingResults];
  }, 300_000);

  test('resident state stays on the device and gives the numbers of the CPU', async () => {
    const cpu = await createBackend({ device: 'cpu' });
    const expected = await takeSteps(cpu, 5);
    for (const name of ['losses', 'w', 'b'] as const)
      steps.steps[name].forEach((value, index) => {
        expect(value).toBeCloseTo(expected[name][index] as number, 4);
      });
    const { graph, values } = networkGraph();
    const program = await cpu.compile(graph);
    for (const [name, { data }] of Object.entries(await program.run(values)))
      Array.from(data as Float32Array).forEach((value, index) => {
        expect(steps.network[name]?.[index]).toBeCloseTo(value, 4);
      });
    expect(steps.fallen).toEqual([]);
    await program.dispose();
    await cpu.dispose();
  });

  test('every operator with a derivative has a case', () => {
    const missing = standardRules().flatMap(({ operator, order }) =>
      order !== 'zero' && OPERATOR_CASES[operator] === undefined ? [operator] : [],
    );
    // The CPU provider has no kernel of it: there is nothing to compare with.
    expect(missing).toEqual(['com.microsoft.BiasSoftmax']);
  });

  test('operators and their gradients give the numbers of the CPU, and crash nothing', () => {
    expect(operators.crashed).toEqual([]);
    const wrong = [...operators.results.values()].flatMap(({ operator, differences, error }) => [
      ...(error === undefined ? [] : [`${operator}: ${error}`]),
      ...Object.entries(differences).flatMap(([output, difference]) =>
        difference !== null && difference <= (TOLERANCES[operator] ?? TOLERANCE)
          ? []
          : [`${operator}, ${output}: ${difference}`],
      ),
    ]);
    expect(wrong).toEqual([]);
    // Most have a gradient that was compared as well.
    const compared = [...operators.results.values()].filter(({ differences }) => 'gradient0' in differences);
    expect(compared.length).toBeGreaterThan(130);
  });

  test('operators run where the table in the docs says', () => {
    // After an update of the runtime or a new case: `npm run docs:webgpu`, then `npm run docs:operators`.
    expect(placements(operators)).toEqual(WEBGPU_PLACEMENT);
  });

  const named = ({ network, rule }: TrainingResult): string => `${network}, ${rule}`;
  test('five steps of every rule and network have the losses and tensors of the CPU', () => {
    expect(training.results).toHaveLength(18);
    for (const result of training.results) {
      expect(result.losses).toHaveLength(5);
      // Training moves: the losses of different steps differ by far more than the tolerance.
      expect(Math.max(...result.losses) - Math.min(...result.losses)).toBeGreaterThan(0.02);
      expect({ of: named(result), close: result.lossDifference < TOLERANCE }).toEqual({
        of: named(result),
        close: true,
      });
    }
    const apart = training.results.flatMap((result) =>
      result.tensorDifference < TOLERANCE ? [] : [`${named(result)}: ${result.worst}`],
    );
    // Keys may move by any constant without effect: their bias has a gradient of rounding errors, which AdamW scales up.
    expect(apart).toEqual(['gpt, adamw: params block.attention.qkv.bias']);
  });

  test('steps leave no more to the CPU than is listed', () => {
    for (const result of training.results)
      expect({ of: named(result), fallen: Object.keys(result.fallen).sort() }).toEqual({
        of: named(result),
        fallen: LEFT_TO_CPU[result.network],
      });
  });

  test('device buffers are given back: 300 steps more take no more memory', () => {
    const { before, after } = training.memory;
    expect(before).toBeGreaterThan(10e6);
    // The collector's own margin; buffers that are not given back add a fifth.
    expect(after - before).toBeLessThan(0.08 * before);
  });
});

describe('what is written out for WebGPU', () => {
  /** The same graph as it is and written out, both on the CPU. */
  async function both(
    build: (...inputs: Tensor[]) => readonly Tensor[],
    inputs: readonly TensorData[],
  ): Promise<{ plain: number[][]; written: number[][]; keys: string[] }> {
    const graph = new Graph('written out');
    const operands = inputs.map(({ dataType, dims }, index) => graph.input(`x${index}`, dataType, dims));
    build(...operands).forEach((value, index) => graph.output(value.identity(), `y${index}`));
    const cpu = await createBackend({ device: 'cpu' });
    const values = Object.fromEntries(inputs.map((value, index) => [`x${index}`, value]));
    const run = async (one: Graph): Promise<number[][]> => {
      const program = await cpu.compile(one);
      const outputs = await program.run(values);
      await program.dispose();
      return Object.values(outputs).map(({ data }) => [...(data as Float32Array)]);
    };
    const lowered = lowerForWebgpu(graph);
    const [plain, written] = [await run(graph), await run(lowered)];
    await cpu.dispose();
    return { plain, written, keys: lowered.nodes.map(({ key }) => key) };
  }
  const close = (found: readonly number[][], expected: readonly number[][]): void => {
    expect(found.map((row) => row.length)).toEqual(expected.map((row) => row.length));
    found.forEach((row, output) =>
      row.forEach((value, index) => {
        expect(value).toBeCloseTo(expected[output]?.[index] as number, 5);
      }),
    );
  };
  const scores = tensor([
    [1, -2, 300, 4],
    [-1000, 0.5, 0.25, 0.125],
    [0, 0, 0, 0],
  ]);

  test('LogSoftmax along any axis, for scores of any size', async () => {
    for (const axis of [-1, 0]) {
      const { plain, written, keys } = await both((x) => [logSoftmax(x as Tensor, axis)], [scores]);
      expect(keys).not.toContain('LogSoftmax');
      close(written, plain);
    }
  });

  test('SoftmaxCrossEntropyLoss with weights, an ignored class and every reduction', async () => {
    for (const reduction of ['none', 'sum', 'mean'] as const)
      for (const ignoreIndex of [undefined, 2]) {
        const { plain, written, keys } = await both(
          (x, labels, weights) => {
            const { loss, logProbabilities } = softmaxCrossEntropyLossWithLogProbabilities(
              x as Tensor,
              labels as Tensor,
              {
                weights: weights as Tensor,
                reduction,
                ...(ignoreIndex === undefined ? {} : { ignoreIndex }),
              },
            );
            return [loss, logProbabilities];
          },
          [scores, tensor([2, 1, 3], 'int64'), tensor([1, 2, 0.5, 3])],
        );
        expect(keys).not.toContain('SoftmaxCrossEntropyLoss');
        close(written, plain);
      }
  });

  test('BatchNormalization in training form, with its running statistics', async () => {
    const x = Float32Array.from({ length: 2 * 3 * 4 }, (_, index) => Math.sin(index * 1.7) * 3 + (index % 3));
    const { plain, written, keys } = await both(
      (value, scale, bias, mean, variance) => {
        const result = batchNormalizationTraining(
          value as Tensor,
          scale as Tensor,
          bias as Tensor,
          mean as Tensor,
          variance as Tensor,
          { epsilon: 0.01, momentum: 0.7 },
        );
        return [result.output, result.runningMean, result.runningVariance];
      },
      [
        { dataType: 'float32', dims: [2, 3, 4], data: x },
        tensor([1, 2, -1]),
        tensor([0.5, 0, 3]),
        tensor([0.1, 0.2, 0.3]),
        tensor([1, 2, 3]),
      ],
    );
    expect(keys).not.toContain('BatchNormalization');
    close(written, plain);
  });
});
