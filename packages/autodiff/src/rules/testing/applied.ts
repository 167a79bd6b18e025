import { applyNode, standardOperators, type AttributeValues, type Operand, type Tensor } from '@updraft/graph';

/** Operators that have no function of their own, by qualified name. */
export function applied(
  operator: string,
  operands: readonly (Operand | undefined)[],
  attributes: AttributeValues = {},
  outputs = 1,
): readonly Tensor[] {
  const dot = operator.lastIndexOf('.');
  const schema = standardOperators().find(dot < 0 ? '' : operator.slice(0, dot), operator.slice(dot + 1));
  if (schema === undefined) throw new Error(`no operator ${operator}`);
  return applyNode(schema, operands, attributes, { outputs }).outputs as readonly Tensor[];
}
