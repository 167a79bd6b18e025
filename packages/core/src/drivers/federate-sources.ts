import { emptyTensor, UpdraftError, type TensorData, type UpdraftErrorOptions } from '@updraft/graph';
import type { SourcePolicy } from '../contracts/aggregator.js';
import { mapValues, type NamedValues } from '../tree.js';
import type { ValueSpec } from '../program/aggregation.js';

/** A source was refused, or too few were left. */
export class SourceError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('source', message, options);
  }
}

/** What a client sends after its local work. */
export interface ClientUpload {
  readonly client: string;
  /** Round of the model that it started from. */
  readonly version: number;
  /** Parameters after local work, or their change, as `exchange` says. */
  readonly values: NamedValues<TensorData>;
  /** Variables of the model (running statistics) after local work; empty where they stay with the client. */
  readonly variables: NamedValues<TensorData>;
  /** What its rule sends beside the model (`ClientRule.roundEnd`). */
  readonly extras: NamedValues<TensorData>;
  readonly weight: number;
  /** What went wrong in local training; the upload then counts as malformed. */
  readonly problem?: string;
}

/** Something that was wrong with a source, and what was done about it. */
export interface SourceReport {
  readonly source: string;
  readonly problem: 'late' | 'missing' | 'duplicated' | 'malformed';
  readonly action: 'included' | 'dropped' | 'none';
  /** What exactly: the tensor and what is the matter with it. */
  readonly message: string;
}

/** What the uploads of a round have to look like. */
export interface ExpectedSources {
  readonly round: number;
  /** Ids that may send anything at all. */
  readonly known: ReadonlySet<string>;
  /** Ids whose upload is expected in this round. */
  readonly expected: readonly string[];
  readonly values: NamedValues<ValueSpec>;
  readonly variables: NamedValues<ValueSpec>;
  readonly extras: NamedValues<ValueSpec>;
}

export const DEFAULT_POLICY: SourcePolicy = { late: 'drop', duplicated: 'first', malformed: 'drop', minimum: 1 };

/** Shapes and element types of host tensors. */
export const specsOf = (values: NamedValues<TensorData>): Record<string, ValueSpec> =>
  mapValues(values, ({ dataType, dims }) => ({ dataType, shape: dims }));

/** What is wrong with host tensors that should look like `specs`; undefined for nothing. NaN and infinity are wrong. */
export function malformation(
  values: NamedValues<TensorData> | undefined,
  specs: NamedValues<ValueSpec>,
  what: string,
): string | undefined {
  if (typeof values !== 'object' || values === null) return `it has no ${what}`;
  const extra = Object.keys(values).find((name) => specs[name] === undefined);
  if (extra !== undefined) return `its ${what} have "${extra}", which is not expected`;
  for (const [name, spec] of Object.entries(specs)) {
    const value = values[name];
    if (value === undefined) return `its ${what} lack "${name}"`;
    const shape = spec.shape.join(', ');
    if (value.dataType !== spec.dataType || value.dims?.join(', ') !== shape)
      return `"${name}" is ${value.dataType}[${value.dims?.join(', ')}], not ${spec.dataType}[${shape}]`;
    const expected = emptyTensor(spec.dataType, [0]).data.constructor;
    if (value.data?.constructor !== expected) return `"${name}" holds no ${expected.name}`;
    const size = value.dims.reduce((product, dim) => product * dim, 1);
    if (value.data.length !== size) return `"${name}" holds ${value.data.length} numbers, not ${size}`;
    const broken = firstNonFinite(value);
    if (broken !== undefined) return `"${name}" holds ${broken.value} at index ${broken.index}`;
  }
  return undefined;
}

function firstNonFinite({ dataType, data }: TensorData): { index: number; value: number } | undefined {
  if (dataType !== 'float32' && dataType !== 'float64') return undefined;
  const values = data as Float32Array;
  for (let index = 0; index < values.length; index++)
    if (!Number.isFinite(values[index])) return { index, value: values[index] as number };
  return undefined;
}

/**
 * Sort what arrived into what may be aggregated and reports about the rest. Malformed sources go first, so that a broken
 * copy never stands for a good one; then late ones, then repeated ones. The order of arrival is kept.
 *
 * @throws SourceError where the policy says `refuse`.
 */
export function screenSources(
  uploads: readonly ClientUpload[],
  expected: ExpectedSources,
  policy: SourcePolicy,
): { readonly accepted: readonly ClientUpload[]; readonly reports: readonly SourceReport[] } {
  const reports: SourceReport[] = [];
  const report = (
    source: string,
    problem: SourceReport['problem'],
    action: SourceReport['action'] | 'refuse',
    message: string,
  ): void => {
    if (action === 'refuse')
      throw new SourceError(`The ${problem} source "${source}" was refused in round ${expected.round}: ${message}.`, {
        hint: `Mend the source, or set policy.${problem} to go on without it.`,
        details: { source, problem, round: expected.round },
      });
    reports.push({ source, problem, action, message });
  };
  const sound = uploads.filter((upload) => {
    const problem = problemOf(upload, expected);
    if (problem === undefined) return true;
    report(
      typeof upload?.client === 'string' ? upload.client : 'unknown',
      'malformed',
      policy.malformed === 'refuse' ? 'refuse' : 'dropped',
      problem,
    );
    return false;
  });
  const timely = sound.filter(({ client, version }) => {
    if (version === expected.round) return true;
    const action = policy.late === 'include' ? 'included' : policy.late === 'drop' ? 'dropped' : 'refuse';
    report(client, 'late', action, `it started from the model of round ${version}`);
    return action === 'included';
  });
  const kept = new Map<string, ClientUpload>();
  for (const upload of timely) {
    const before = kept.get(upload.client);
    if (before !== undefined) {
      const { duplicated } = policy;
      report(
        upload.client,
        'duplicated',
        duplicated === 'refuse' ? 'refuse' : 'dropped',
        `the ${duplicated} one counts`,
      );
      if (duplicated === 'first') continue;
    }
    kept.set(upload.client, upload);
  }
  const arrived = new Set(uploads.map((upload) => upload?.client));
  for (const client of expected.expected)
    if (!arrived.has(client)) report(client, 'missing', 'none', 'nothing arrived from it');
  return { accepted: [...kept.values()], reports };
}

function problemOf(upload: ClientUpload, expected: ExpectedSources): string | undefined {
  if (typeof upload !== 'object' || upload === null) return 'it is no upload';
  if (!expected.known.has(upload.client)) return 'nobody has this id';
  if (!Number.isSafeInteger(upload.version) || upload.version < 1 || upload.version > expected.round)
    return `it started from round ${upload.version}, which is none before now`;
  if (upload.problem !== undefined) return upload.problem;
  if (!(upload.weight >= 0 && upload.weight < Infinity)) return `its weight is ${upload.weight}`;
  return (
    malformation(upload.values, expected.values, 'values') ??
    malformation(upload.variables, expected.variables, 'variables') ??
    malformation(upload.extras, expected.extras, 'extras')
  );
}
