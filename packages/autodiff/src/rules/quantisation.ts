import {
  add,
  and,
  div,
  expand,
  greaterOrEqual,
  isStatic,
  lessOrEqual,
  mul,
  neg,
  normalizeAxis,
  round,
  shapeEquals,
  slice,
  sub,
  sumTo,
  where,
  zerosLike,
  type DataType,
  type Node,
  type Tensor,
} from '@updraft/graph';
import { zeroDerivative, type DerivativeContext, type DerivativeRule } from '../derivative.js';

/** Smallest and largest values of the types of quantised numbers. */
const RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int4: [-8, 7],
  uint4: [0, 15],
};

const isWhole = (scale: Tensor): boolean => scale.rank === 0 || shapeEquals(scale.shape, [1]);

/** `scale` in a shape that broadcasts against `x`: one value, one per element of the axis, or one per block. */
function spread(scale: Tensor, x: Tensor, node: Node): Tensor {
  const block = node.int('block_size');
  if (block === 0 && isWhole(scale)) return scale;
  const axis = normalizeAxis(node.int('axis'), x.rank);
  if (block === 0) return scale.unsqueeze(x.shape.map((_, at) => at).filter((at) => at !== axis));
  const blocks = scale.shape as readonly number[];
  const repeated = expand(scale.unsqueeze([axis + 1]), [
    ...blocks.slice(0, axis + 1),
    block,
    ...blocks.slice(axis + 1),
  ]);
  const flat = repeated.reshape(blocks.map((count, at) => (at === axis ? count * block : count)));
  // The last block may be shorter than the others.
  return slice(flat, [0], [x.shape[axis] as number], [axis]);
}

/** Sum of `gradient` over the elements that share a scale: the derivative of {@link spread}. */
function gathered(context: DerivativeContext, gradient: Tensor, scale: Tensor, node: Node): Tensor {
  if (node.int('block_size') !== 0) {
    if (!gradient.shape.every(isStatic))
      context.fail('scales per block have a derivative for known sizes only', 'Bind the dimensions to numbers.');
    return context.differentiate([spread(scale, gradient, node)], [scale], [gradient])[0] as Tensor;
  }
  if (isWhole(scale)) return sumTo(gradient, scale);
  const axis = normalizeAxis(node.int('axis'), gradient.rank);
  const others = gradient.shape.map((_, at) => at).filter((at) => at !== axis);
  return others.length === 0 ? gradient : gradient.sum(others);
}

/** Gradient of the scale of (x - zeroPoint) * scale. */
function scaleGradient(context: DerivativeContext): Tensor {
  const { node } = context;
  const [x, scale] = [context.input(0), context.input(1)];
  const zeroPoint = node.inputs[2];
  const values = x.cast(scale.dataType);
  const centred = zeroPoint === undefined ? values : sub(values, spread(zeroPoint.cast(scale.dataType), x, node));
  return gathered(context, mul(context.gradient(0), centred), scale, node);
}

export const quantisationRules: readonly DerivativeRule[] = [
  zeroDerivative('QuantizeLinear', 'derivative 0; straightThroughQuantization() lets gradients pass'),
  zeroDerivative('DynamicQuantizeLinear', 'derivative 0; straightThroughQuantization() lets gradients pass'),
  {
    operator: 'DequantizeLinear',
    order: 'any',
    notes:
      'with respect to the scale; straightThroughQuantization() lets gradients pass to the value that was quantised',
    backward: (context) => [undefined, context.needs(1) ? scaleGradient(context) : undefined],
  },
];

/** The node that quantised the integers that `node` converts back, if one did. */
function quantizer(node: Node): Node | undefined {
  const producer = node.inputs[0]?.producer;
  const quantizes = producer?.key === 'QuantizeLinear' || producer?.key === 'DynamicQuantizeLinear';
  return quantizes && node.inputs[0]?.outputIndex === 0 ? producer : undefined;
}

/** `x / scale` in units of the quantised type, and whether it lies within the range of that type. */
function position(quantize: Node): { readonly quotient: Tensor; readonly inside: Tensor } {
  const [x, scale, zeroPoint] = quantize.inputs as readonly [Tensor, Tensor, Tensor | undefined];
  const [lowest, highest] = RANGES[quantize.output.dataType] ?? [-Infinity, Infinity];
  const quotient = div(x, spread(scale, x, quantize));
  const rounded = round(quotient);
  const shifted = zeroPoint === undefined ? rounded : add(rounded, spread(zeroPoint.cast(x.dataType), x, quantize));
  return { quotient, inside: and(greaterOrEqual(shifted, lowest), lessOrEqual(shifted, highest)) };
}

/**
 * The rule for quantisation-aware training: `new DerivativeTable([...standardRules(), ...straightThroughQuantization()])`.
 * Gradients pass through pairs of QuantizeLinear (or DynamicQuantizeLinear) and DequantizeLinear as through the identity
 * where the value lies within the range of the quantised type, and not at all where it is clipped (Bengio et al. 2013).
 * The scale gets the gradient of learned step sizes: the rounding error within the range, the bound outside of it (Esser
 * et al. 2020).
 */
export const straightThroughQuantization = (): readonly DerivativeRule[] => [
  {
    operator: 'DequantizeLinear',
    order: 'any',
    notes: 'straight through the rounding of the quantisation before it',
    // The integers in between carry no gradient: it goes directly to the inputs of the quantisation.
    through(node) {
      const quantize = quantizer(node);
      return quantize === undefined ? [] : (quantize.inputs.slice(0, 2) as readonly Tensor[]);
    },
    backward(context) {
      const { node } = context;
      const count = node.inputs.length;
      const results: (Tensor | undefined)[] = context.inputs.map(() => undefined);
      if (context.needs(1)) results[1] = scaleGradient(context);
      const quantize = quantizer(node);
      if (quantize === undefined) return results;
      const x = quantize.inputs[0] as Tensor;
      const gradient = context.gradient(0).cast(x.dataType);
      if (quantize.key === 'DynamicQuantizeLinear') {
        // Its range always holds every value.
        results[count] = gradient;
        return results;
      }
      const { quotient, inside } = position(quantize);
      const passed = where(inside, gradient, zerosLike(gradient));
      if (context.needs(count)) results[count] = passed;
      if (context.needs(count + 1))
        results[count + 1] = gathered(context, neg(mul(passed, quotient)), quantize.inputs[1] as Tensor, quantize);
      return results;
    },
  },
];
