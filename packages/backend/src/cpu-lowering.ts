import {
  expand,
  removeDeadCode,
  rewrite,
  scatterElements,
  shapeNode,
  shapeOf,
  where,
  type Graph,
  type RewriteRule,
  type Tensor,
} from '@updraft/graph';

/**
 * ONNX Runtime's kernel of ScatterND adds from several threads at once, and loses what two of them add to one element (seen
 * in 1.30: an embedding gradient wrong by whole terms, in another way at every run). ScatterElements takes one update after
 * the other.
 */
const orderedScatter: RewriteRule = {
  name: 'ordered-scatter',
  start: () => ({
    replace({ node, inputs }) {
      if (node.key !== 'ScatterND' || node.string('reduction') === 'none') return undefined;
      const [data, indices, updates] = inputs as readonly Tensor[] as [Tensor, Tensor, Tensor];
      const depth = indices.shape[indices.rank - 1];
      if (typeof depth !== 'number') return undefined;
      const values = updates.flatten(indices.rank - 1);
      const scattered = scatterElements(
        data.flatten(depth),
        expand(flatPositions(data, indices, depth), shapeOf(values)),
        values,
        { axis: 0, reduction: node.string('reduction') as 'add' | 'mul' | 'min' | 'max' },
      );
      return [scattered.reshape(shapeOf(data))];
    },
  }),
};

/** Index vectors [..., depth] as positions [vectors, 1] in the first `depth` axes of `data`, laid out as one. */
function flatPositions(data: Tensor, indices: Tensor, depth: number): Tensor {
  const vectors = indices.reshape([-1, depth]);
  // One index may count from the end in ScatterElements as well.
  if (depth === 1) return vectors;
  let positions: Tensor | undefined;
  for (let axis = 0; axis < depth; axis++) {
    const size = shapeNode(data, { start: axis, end: axis + 1 });
    const index = vectors.slice([axis], [axis + 1], [1]);
    const fromStart = where(index.less(0), index.add(size), index);
    positions = positions === undefined ? fromStart : positions.mul(size).add(fromStart);
  }
  return positions as Tensor;
}

/** A program without what the CPU kernels of ONNX Runtime, in WebAssembly too, get wrong. */
export function lowerForCpu(graph: Graph): Graph {
  const { graph: lowered, changes } = rewrite(graph, [orderedScatter]);
  return changes.size === 0 ? graph : removeDeadCode(lowered).graph;
}
