import type { TensorData } from '../data-type.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';
import type { StringStringEntryProto, TensorAnnotation, ValueInfoProto } from './generated/onnx_pb.js';

/** A declaration of a value in a file; `value` is missing where the graph has no value of that name. */
export interface ValueNote {
  readonly value: Tensor | undefined;
  readonly proto: ValueInfoProto;
}

export interface GraphNotes {
  /** Declared inputs in order; those that are initializers too are constants of the graph. */
  readonly inputs: readonly ValueNote[];
  readonly outputs: readonly ValueNote[];
  readonly valueInfo: readonly ValueNote[];
  readonly quantization: readonly TensorAnnotation[];
  /** Optional texts that the file sets, even if to ''. */
  readonly present: ReadonlySet<string>;
}

export interface NodeNotes {
  readonly domain: string;
  /** Inputs as written, with omitted ones at the end. */
  readonly inputCount: number;
  readonly attributeTexts: ReadonlyMap<string, string>;
  readonly present: ReadonlySet<string>;
}

export interface TensorNotes {
  readonly name: string | undefined;
  readonly storage: 'raw' | 'list' | 'external';
  readonly documentation: string | undefined;
  readonly metadata: readonly StringStringEntryProto[];
}

/**
 * What a file says beyond the graph: declarations of values, denotations, documentation, how tensors were stored. With it
 * a loaded model is written as it was; what is added to the model later is written in the usual way.
 */
export class FileNotes {
  readonly graphs = new Map<Graph, GraphNotes>();
  readonly nodes = new Map<Node, NodeNotes>();
  readonly tensors = new Map<TensorData, TensorNotes>();
  /** Optional texts of the model that the file sets, even if to ''. */
  present: ReadonlySet<string> = new Set();
  /** The import of ai.onnx leaves its domain out instead of giving ''. */
  unnamedDomain = false;
}
