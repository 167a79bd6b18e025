import { elementCount, isFloat, isInteger, readElement, type TensorData } from '../data-type.js';
import type { Graph } from '../graph.js';
import { shapeEquals } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { rewrite, type RewriteContext, type RewriteResult, type RewriteRule } from './rewrite.js';

/** Most elements of a constant that are looked at. */
const MAX_ELEMENTS = 4096;

/** Whether every element of a constant is exactly this number; 0 and -0 differ. */
function isAll(data: TensorData | undefined, value: number): boolean {
  if (data === undefined || !(isFloat(data.dataType) || isInteger(data.dataType))) return false;
  const count = elementCount(data.dims);
  if (count === 0 || count > MAX_ELEMENTS) return false;
  for (let index = 0; index < count; index++) if (!Object.is(readElement(data, index), value)) return false;
  return true;
}

/**
 * Neutral elements, to the last bit for every operand with NaN, infinities and signed zeros: `x + -0`, `x - 0`, `x * 1`
 * and `x / 1` return x; `x + 0` does not (-0 + 0 is 0), except for integers, which have one zero.
 */
function neutral(type: string, x: Tensor, other: TensorData | undefined, side: 'left' | 'right'): boolean {
  const integer = isInteger(x.dataType);
  switch (type) {
    case 'Add':
      return isAll(other, integer ? 0 : -0);
    case 'Sub':
      return side === 'right' && isAll(other, 0);
    case 'Mul':
      return isAll(other, 1);
    case 'Div':
      return side === 'right' && isAll(other, 1);
    default:
      return false;
  }
}

function simplify({ node, inputs }: RewriteContext): readonly Tensor[] | undefined {
  if (node.domain !== '' || node.outputs.length !== 1 || node.outputs[0] === undefined) return undefined;
  const [a, b] = inputs;
  if (a === undefined) return undefined;
  // The value may not be broadcast by its neutral partner.
  const keeps = (x: Tensor): boolean => shapeEquals(x.shape, node.output.shape);
  if (b !== undefined && keeps(a) && neutral(node.type, a, b.constant, 'right')) return [a];
  if (b !== undefined && keeps(b) && neutral(node.type, b, a.constant, 'left')) return [b];
  const inner = a.producer;
  const [source] = inner?.inputs ?? [];
  // Sign flips and negations undo themselves.
  if ((node.type === 'Neg' || node.type === 'Not') && inner?.key === node.type && source !== undefined) return [source];
  return undefined;
}

/** Arithmetic that returns its operand to the last bit goes; nothing that rounds is touched. */
export const exactAlgebra: RewriteRule = { name: 'exact-algebra', start: () => ({ replace: simplify }) };

/** A copy without arithmetic that changes nothing. */
export const simplifyExactly = (graph: Graph): RewriteResult => rewrite(graph, [exactAlgebra]);
