import { fromBinary } from '@bufbuild/protobuf';
import type { Dim } from '../dimension.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import type { Model } from '../model.js';
import { standardOperators } from '../operators/index.js';
import type { OperatorTable } from '../schema.js';
import { FileNotes } from '../serialise/file-notes.js';
import { ModelProtoSchema, type GraphProto, type ModelProto } from '../serialise/generated/onnx_pb.js';
import { DEFAULT_BUDGETS, type LoadBudgets } from './budgets.js';
import { ExternalDataReader, type ExternalData } from './external-data.js';
import { ModelFormatError } from './format-error.js';
import { FunctionLibrary } from './functions.js';
import { OpsetCheck } from './opsets.js';
import { GraphReader, readEntries, Scope, type ReadContext } from './read-graph.js';
import { scanModel } from './wire-scan.js';

export interface LoadOptions {
  /** Limits to raise or lower; the others are {@link DEFAULT_BUDGETS}. */
  readonly budgets?: Partial<LoadBudgets>;
  /** Contents of external files, by the location that the model gives. No path in a model is ever followed. */
  readonly externalData?: ExternalData;
  /**
   * Sizes for symbolic dimensions, by name (`input_dim0` for the nameless first dimension of `input`). Some models have
   * branches whose ranks depend on sizes: they load only with those bound.
   */
  readonly dims?: ReadonlyMap<string, Dim>;
  /**
   * The file comes from a known source: integer divisions are accepted whose divisor may be -1 (the smallest integer
   * divided by it stops the process in native runtimes). All other checks stay. Default: false.
   */
  readonly trusted?: boolean;
  /** Operators that may occur. Default: all that Updraft knows. */
  readonly operators?: OperatorTable;
}

const MIN_IR = 3;
const MAX_IR = 13;

function decode(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new ModelFormatError('', 'The file is not an ONNX model.', { cause: error });
  }
}

function readOpsets(proto: ModelProto, notes: FileNotes): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const entry of proto.opsetImport) {
    const { domain, version } = entry;
    if (!Object.hasOwn(entry, 'domain')) notes.unnamedDomain = true;
    const twin = domain === '' ? 'ai.onnx' : domain === 'ai.onnx' ? '' : domain;
    if (opsets.has(domain) || opsets.has(twin))
      throw new ModelFormatError('opset_import', `The domain "${domain}" is imported twice.`);
    if (version < 1n || version > 1_000_000n)
      throw new ModelFormatError('opset_import', `The version ${version} of "${domain}" has no meaning.`);
    opsets.set(domain, Number(version));
  }
  return opsets;
}

/**
 * Read an ONNX model from untrusted bytes: budgets first, then the structure, then shape inference over every node.
 * What comes back has passed all of them. Tensors may be views of `bytes`.
 * Throws {@link ModelFormatError}, which says where in the file and what; nothing else for any input.
 */
export function loadModel(bytes: Uint8Array, options: LoadOptions = {}): Model {
  if (!(bytes instanceof Uint8Array)) throw new ModelFormatError('', 'A model is read from a Uint8Array.');
  const budgets: LoadBudgets = { ...DEFAULT_BUDGETS, ...options.budgets };
  const counts = scanModel(bytes, budgets);
  const proto = decode(bytes);
  const irVersion = Number(proto.irVersion);
  if (!(irVersion >= MIN_IR && irVersion <= MAX_IR))
    throw new ModelFormatError(
      'ir_version',
      `The file has IR version ${proto.irVersion}; Updraft reads ${MIN_IR} to ${MAX_IR}.`,
      {
        hint: irVersion === 0 ? 'It may not be an ONNX model.' : 'Convert the file.',
      },
    );
  if (proto.graph === undefined)
    throw new ModelFormatError('', 'The file holds no graph.', { hint: 'It may not be an ONNX model.' });
  if (proto.trainingInfo.length > 0)
    throw new ModelFormatError('training_info[0]', 'Training information is not supported.');
  if (proto.configuration.length > 0)
    throw new ModelFormatError('configuration[0]', 'Device configurations are not supported.');
  const notes = new FileNotes();
  const opsets = readOpsets(proto, notes);
  const functions = new FunctionLibrary(proto.functions);
  const context: ReadContext = {
    // Work grows with the file: a small file may not ask for much, however its loops nest.
    budgets: { ...budgets, inferences: Math.min(budgets.inferences, 1_000 + 20 * counts.nodes) },
    external: new ExternalDataReader(options.externalData, budgets),
    operators: options.operators ?? standardOperators(),
    notes,
    opsets: new OpsetCheck(opsets),
    isFunction: (node) => functions.find(node) !== undefined,
    functionSchema: (node, attributes) => functions.schema(node, attributes, context),
    dimExpressions: proto.producerName === 'updraft',
    dims: options.dims ?? new Map<string, Dim>(),
    trusted: options.trusted === true,
    work: { inferences: 0 },
  };
  const graph = readRoot(proto.graph, context);
  notes.present = new Set(
    ['producerName', 'producerVersion', 'domain', 'modelVersion', 'docString'].filter((name) =>
      Object.hasOwn(proto, name),
    ),
  );
  return {
    graph,
    irVersion,
    opsets,
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    domain: proto.domain,
    modelVersion:
      proto.modelVersion > BigInt(Number.MAX_SAFE_INTEGER) || proto.modelVersion < 0n
        ? proto.modelVersion
        : Number(proto.modelVersion),
    documentation: proto.docString,
    metadata: readEntries(proto.metadataProps, 'metadata_props'),
    functions: functions.functions,
    notes,
  };
}

function readRoot(proto: GraphProto, context: ReadContext): Graph {
  const graph = new Graph(proto.name);
  try {
    return new GraphReader(context, graph, new Scope(), 'graph').read(proto);
  } catch (error) {
    if (error instanceof UpdraftError) throw error;
    // Inference rules are many; one that trips over hostile values must still end in a typed error.
    throw new ModelFormatError('graph', 'The graph could not be read.', { cause: error });
  }
}
