import type { Graph, Tensor } from '@updraft/graph';
import { CoreError } from '../errors.js';

/** Make a value an output under a name of its own; inputs and values that are outputs already go through an Identity. */
export function publish(graph: Graph, value: Tensor, name: string): string {
  const direct = value.producer !== undefined && !graph.outputs.includes(value);
  return graph.output(direct ? value : value.identity(), name).name;
}

/** Refuse a new value that does not have the element type and shape of what it replaces. */
export function checkReplacement(old: Tensor, value: Tensor, what: string, contract = 'update-rule'): void {
  const same =
    value.dataType === old.dataType &&
    value.rank === old.rank &&
    value.shape.every((dim, axis) => typeof dim !== 'number' || dim === old.shape[axis]);
  if (!same)
    throw new CoreError(
      contract,
      `The new value of the ${what} is ${value.dataType}[${value.shape.join(', ')}], the old one ${old.dataType}[${old.shape.join(', ')}].`,
      { hint: 'State and parameters keep their shape and element type.' },
    );
}
