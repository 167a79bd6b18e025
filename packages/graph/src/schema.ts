import type { AttributeKind, AttributeValue } from './attribute.js';
import type { DataType } from './data-type.js';
import type { Dim } from './dimension.js';
import type { Node } from './node.js';
import type { Shape } from './shape.js';
import type { Tensor } from './tensor.js';

/** Static knowledge about one output of a node. */
export interface TensorType {
  readonly dataType: DataType;
  readonly shape: Shape;
  /** Contents of a small integer tensor as symbolic integers, where known (shape arithmetic). Row-major. */
  readonly elements?: readonly Dim[] | undefined;
}

export interface AttributeSchema {
  readonly kind: AttributeKind;
  readonly required?: boolean;
  readonly default?: AttributeValue;
  /** Allowed values of a string attribute. */
  readonly values?: readonly string[];
}

export interface InputSchema {
  readonly name: string;
  /** Allowed element types; undefined allows every type. */
  readonly types?: readonly DataType[];
  readonly optional?: boolean;
  /** Only on the last input: it may be repeated. */
  readonly variadic?: boolean;
  /** Inputs that share a type variable (ONNX `T`) must have one element type. */
  readonly typeVariable?: string;
}

/** What `infer` sees: a node whose inputs and attributes have passed the declared checks. */
export interface InferenceContext {
  readonly node: Node;
  /** Inputs with `undefined` for omitted optional ones. */
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputCount: number;
  /** Required input; its presence has been checked. */
  input(index: number): Tensor;
  /** Throws a ShapeError that names the operator and shows the expression. */
  fail(message: string, hint?: string): never;
  /** Broadcast shapes and note assumptions about symbolic dimensions. */
  broadcast(...shapes: readonly Shape[]): Shape;
  /** Require two dimensions to be equal: throws when they cannot be, notes an assumption when they may be. */
  unify(left: Dim, right: Dim, what: string): Dim;
  /** A new symbol for a size that depends on data. */
  unknownDim(hint: string): Dim;
  /** Contents of a constant or symbolically known integer input, as dimensions; undefined when unknown. */
  elements(index: number): readonly Dim[] | undefined;
  /** Contents of a constant integer input as numbers. `fail`s when it is not known at build time. */
  staticElements(index: number, what: string): readonly number[];
}

/**
 * An operator: its declared inputs, attributes and outputs (checked for every node), and shape and type inference.
 * `since` is the version of the ONNX operator that this schema describes.
 */
export interface OperatorSchema {
  readonly type: string;
  /** Default: '' (ai.onnx). */
  readonly domain?: string;
  readonly since: number;
  readonly inputs: readonly InputSchema[];
  readonly attributes?: Readonly<Record<string, AttributeSchema>>;
  /** Fewest and most outputs; default [1, 1]. */
  readonly outputs?: readonly [number, number];
  /** Draws from the runtime's random generator: never folded, merged or repeated. */
  readonly random?: boolean;
  infer(context: InferenceContext): readonly (TensorType | undefined)[];
}

/** Fully qualified name: `Add`, `com.microsoft.FusedMatMul`. */
export const operatorKey = (domain: string, type: string): string =>
  domain === '' || domain === 'ai.onnx' ? type : `${domain}.${type}`;

/** Operators by qualified name; later entries win, so that callers may extend or override the standard ones. */
export class OperatorTable {
  readonly #schemas = new Map<string, OperatorSchema>();

  constructor(schemas: Iterable<OperatorSchema> = []) {
    for (const schema of schemas) this.add(schema);
  }
  add(schema: OperatorSchema): this {
    this.#schemas.set(operatorKey(schema.domain ?? '', schema.type), schema);
    return this;
  }
  find(domain: string, type: string): OperatorSchema | undefined {
    return this.#schemas.get(operatorKey(domain, type));
  }
  names(): string[] {
    return [...this.#schemas.keys()].sort();
  }
  schemas(): OperatorSchema[] {
    return [...this.#schemas.values()];
  }
}
