import { elementCount, type DataType, type TensorData } from '../data-type.js';
import { isStatic } from '../dimension.js';
import type { Node } from '../node.js';
import { runsToCount } from '../operators/control-flow.js';
import type { Tensor } from '../tensor.js';
import type { LoadBudgets } from './budgets.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';

const SMALLEST: Partial<Record<DataType, bigint>> = { int32: -(2n ** 31n), int64: -(2n ** 63n) };

/** Whether a value certainly never holds `forbidden`: its contents are constant, or sizes (which are not negative). */
function neverHolds(value: Tensor, forbidden: bigint): boolean {
  const { constant, elements } = value;
  if (constant !== undefined) return !holds(constant, forbidden);
  return (
    elements?.every((element) =>
      isStatic(element)
        ? BigInt(element) !== forbidden
        : element.terms.every(
            ({ coefficient, factors }) => coefficient > 0 && factors.every(({ kind }) => kind === 'symbol'),
          ),
    ) === true
  );
}

function holds({ dims, data }: TensorData, forbidden: bigint): boolean {
  const values = data as Int32Array | BigInt64Array;
  const count = elementCount(dims);
  for (let index = 0; index < count; index++) if (BigInt(values[index] as number | bigint) === forbidden) return true;
  return false;
}

/**
 * Refuse what passes every rule of ONNX and still can stop a process: in native runtimes (ONNX Runtime 1.30 for one) the
 * smallest 32- or 64-bit integer divided by -1 raises a hardware exception that nothing catches.
 */
export function checkNativeHazards(node: Node, where: string): void {
  if (node.key !== 'Div' && node.key !== 'Mod') return;
  const [dividend, divisor] = node.inputs;
  const smallest = dividend === undefined ? undefined : SMALLEST[dividend.dataType];
  if (smallest === undefined || dividend === undefined || divisor === undefined) return;
  if (node.key === 'Mod' && node.int('fmod') !== 0) return;
  if (neverHolds(divisor, -1n) || neverHolds(dividend, smallest)) return;
  throw new ModelFormatError(
    where,
    `It divides ${dividend.dataType} by a value that may be -1, which can stop the process for the smallest integer.`,
    {
      hint: 'Load with { trusted: true } if you know where the file comes from, or divide by a constant.',
    },
  );
}

/** Refuse loops that would certainly keep the runtime busy for ever. */
export function checkIterations(node: Node, budgets: LoadBudgets, where: string): void {
  if (node.key !== 'Loop') return;
  const [count, condition] = node.inputs;
  const iterations = count?.elements?.[0];
  if (iterations === undefined || !isStatic(iterations) || iterations <= budgets.iterations) return;
  if (runsToCount(condition, node.subgraph('body')))
    throw new ModelBudgetError(where, 'iterations', budgets.iterations, iterations);
}
