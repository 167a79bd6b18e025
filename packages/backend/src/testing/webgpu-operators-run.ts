// Runs cases of operators on WebGPU and on the CPU, and prints a line of JSON before and after each: the parent process
// learns which one ended this one.
import { standardRules } from '@updraft/autodiff';
import type { TensorData } from '@updraft/graph';
import type { Backend } from '../backend.js';
import { createBackend } from '../create-backend.js';
import { OPERATOR_CASES, operatorGraph, type OperatorGraph } from './operator-cases.js';

/** Kernels of one run: all of them, and those that ran on the CPU. */
export interface Placed {
  readonly kernels: readonly string[];
  readonly fallen: readonly string[];
}

/** What one case gave. */
export interface OperatorResult {
  readonly operator: string;
  /** The operator alone. */
  readonly forward: Placed;
  /** The operator with its gradient. */
  readonly whole: Placed;
  /** Output → largest difference between the devices relative to its largest value; null: not even both numbers. */
  readonly differences: Readonly<Record<string, number | null>>;
  /** Where a device refused the program. */
  readonly error?: string;
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** Small values are compared as if the largest were this. */
const FLOOR = 0.1;

function difference(found: TensorData, expected: TensorData): number | null {
  if (found.dims.join() !== expected.dims.join()) return null;
  const [a, b] = [found, expected].map(({ data }) => Array.from(data as ArrayLike<number | bigint>, Number)) as [
    number[],
    number[],
  ];
  const scale = b.reduce((most, value) => Math.max(most, Math.abs(value)), FLOOR);
  let worst = 0;
  for (const [index, value] of b.entries()) {
    const apart = Math.abs(value - (a[index] as number)) / scale;
    if (Number.isNaN(apart)) return null;
    worst = Math.max(worst, apart);
  }
  return worst;
}

async function runOn(
  backend: Backend,
  { graph, values }: OperatorGraph,
  profile: boolean,
): Promise<Placed & { readonly outputs: Record<string, TensorData> }> {
  const program = await backend.compile(graph, { profile });
  try {
    const outputs = await program.run(values);
    const summary = program.profile();
    const names = (entries: readonly { readonly name: string }[] = []): string[] => entries.map(({ name }) => name);
    return { outputs, kernels: names(summary?.byOperator), fallen: names(summary?.onCpu) };
  } finally {
    await program.dispose();
  }
}

const NOTHING: Placed = { kernels: [], fallen: [] };

async function measure(webgpu: Backend, cpu: Backend, operator: string, gradients: boolean): Promise<OperatorResult> {
  try {
    const built = operatorGraph(operator, { gradients });
    const expected = await runOn(cpu, built, false);
    const { outputs, ...whole } = await runOn(webgpu, built, true);
    // What falls may do so in the gradient alone.
    const { outputs: _, ...forward } =
      gradients && whole.fallen.length > 0
        ? await runOn(webgpu, operatorGraph(operator, { gradients: false }), true)
        : { outputs, ...whole };
    const compared = OPERATOR_CASES[operator]?.random === true ? [] : Object.entries(expected.outputs);
    const differences = compared.map(
      ([name, value]) => [name, difference(outputs[name] as TensorData, value)] as const,
    );
    return { operator, forward, whole, differences: Object.fromEntries(differences) };
  } catch (error) {
    return { operator, forward: NOTHING, whole: NOTHING, differences: {}, error: String(error) };
  }
}

const orders = new Map(standardRules().map(({ operator, order }) => [operator, order]));
const [webgpu, cpu] = [await createBackend({ device: 'webgpu' }), await createBackend({ device: 'cpu', threads: 1 })];
for (const operator of process.argv.slice(2)) {
  say({ begin: operator });
  say(await measure(webgpu, cpu, operator, (orders.get(operator) ?? 'zero') !== 'zero'));
}
// The native device aborts the process when it ends with sessions alive.
await webgpu.dispose();
await cpu.dispose();
