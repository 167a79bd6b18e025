import { readElement, type Graph, type Node } from '@updraft/graph';

/** Dropout without training mode passes its input. */
function drawsNumbers(node: Node): boolean {
  if (node.schema.random !== true) return false;
  if (node.key !== 'Dropout') return true;
  const training = node.inputs[2];
  return training !== undefined && !(training.constant !== undefined && readElement(training.constant, 0) === 0);
}

/** The first node of a body, or of a body in it, that draws random numbers: computed again, it would draw others. */
export function randomNode(body: Graph): Node | undefined {
  for (const node of body.nodes) {
    if (drawsNumbers(node)) return node;
    for (const [, inner] of node.subgraphs()) {
      const found = randomNode(inner);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
