import { dataTypeFromCode, type DataType } from '../data-type.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { cast, identity } from '../operators/creation.js';
import { reshape, transpose } from '../operators/shape-operators.js';
import { isStaticShape, shapeEquals } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { rewrite, type RewriteContext, type RewriteResult, type RewriteRule } from './rewrite.js';

/** Operators that give the same elements in the same order another shape. */
const RELABELS: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/** An output may lose its own node only when its value is computed in the same graph and is no output itself. */
function mayVanish(node: Node): boolean {
  const { output } = node;
  if (!node.graph.outputs.includes(output)) return true;
  const [source] = node.inputs;
  return source?.producer !== undefined && source.graph === node.graph && !node.graph.outputs.includes(source);
}

const permutationOf = (node: Node, rank: number): readonly number[] =>
  node.optionalInts('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);

function cleanTranspose(node: Node, x: Tensor): Tensor | undefined {
  const permutation = permutationOf(node, x.rank);
  if (permutation.every((axis, at) => axis === at)) return x;
  const inner = x.producer;
  const [source] = inner?.inputs ?? [];
  if (inner?.key !== 'Transpose' || source === undefined) return undefined;
  const first = permutationOf(inner, source.rank);
  const both = permutation.map((axis) => first[axis] as number);
  return both.every((axis, at) => axis === at) ? source : transpose(source, both);
}

function cleanRelabel(node: Node, x: Tensor): Tensor | undefined {
  const { shape } = node.output;
  if (shapeEquals(x.shape, shape)) return x;
  const inner = x.producer;
  const [source] = inner?.inputs ?? [];
  if (inner === undefined || inner.domain !== '' || !RELABELS.has(inner.type) || source === undefined) return undefined;
  if (shapeEquals(source.shape, shape)) return source;
  // 0 in a shape means "as in the input": a chain keeps its meaning only with sizes above 0.
  return isStaticShape(shape) && shape.every((dim) => dim > 0) ? reshape(source, shape) : undefined;
}

/** Conversions that lose nothing, so that the way back is exact. */
const WIDENS: Partial<Record<DataType, readonly DataType[]>> = {
  float16: ['float32', 'float64'],
  bfloat16: ['float32', 'float64'],
  float32: ['float64'],
  int8: ['int16', 'int32', 'int64'],
  int16: ['int32', 'int64'],
  int32: ['int64'],
  uint8: ['uint16', 'uint32', 'uint64', 'int16', 'int32', 'int64'],
  uint16: ['uint32', 'uint64', 'int32', 'int64'],
  uint32: ['uint64', 'int64'],
};

function cleanCast(node: Node, x: Tensor): Tensor | undefined {
  const to = dataTypeFromCode(node.int('to'));
  if (x.dataType === to) return x;
  const inner = x.producer;
  const [source] = inner?.inputs ?? [];
  if (
    to === undefined ||
    inner?.key !== 'Cast' ||
    source === undefined ||
    WIDENS[source.dataType]?.includes(x.dataType) !== true
  )
    return undefined;
  return source.dataType === to
    ? source
    : WIDENS[source.dataType]?.includes(to) === true
      ? cast(source, to)
      : undefined;
}

function clean({ node, inputs }: RewriteContext): readonly Tensor[] | undefined {
  const [x] = inputs;
  if (node.domain !== '' || x === undefined || node.outputs[0] === undefined) return undefined;
  if (node.outputs.length > 1 && node.outputs.slice(1).some((output) => output !== undefined)) return undefined;
  let result: Tensor | undefined;
  switch (node.type) {
    case 'Identity':
      result = x;
      break;
    case 'Transpose':
      result = cleanTranspose(node, x);
      break;
    case 'Cast':
      result = cleanCast(node, x);
      break;
    case 'Expand':
      result = shapeEquals(x.shape, node.output.shape) ? x : undefined;
      break;
    case 'Concat':
    case 'Sum':
    case 'Max':
    case 'Min':
      result = node.inputs.length === 1 ? x : undefined;
      break;
    default:
      result = RELABELS.has(node.type) ? cleanRelabel(node, x) : undefined;
  }
  if (result === undefined) return undefined;
  if (mayVanish(node)) return [result];
  return node.type === 'Identity' ? undefined : [identity(result)];
}

/** Identities, pairs and no-ops of Transpose, chains of Reshape and its kin, and conversions there and back go. */
export const cleanUp: RewriteRule = { name: 'clean-up', start: () => ({ replace: clean }) };

/** A copy without detours in the movement of data. */
export const cleanUpGraph = (graph: Graph): RewriteResult => rewrite(graph, [cleanUp]);
