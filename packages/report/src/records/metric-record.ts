/**
 * The lines of a metrics file. Every line is one JSON object, discriminated by `kind`; a run starts with its header.
 *
 * Conventions shared by all kinds:
 * - `step` counts finished optimiser steps, so the loss of the first step carries step 1 and an evaluation before training step 0.
 * - `time` is in milliseconds since the Unix epoch.
 * - Numbers that JSON has no literal for are written as the strings "nan", "inf" and "-inf".
 */

/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What is needed to know what ran, and to run it again. */
export interface RunHeader {
  readonly kind: 'run';
  /** Version of this format. */
  readonly version: 1;
  /** What a person calls this run, for example `lenet-mnist seed 1`. */
  readonly name: string;
  /** Runs of one group differ in nothing but the seed; they are averaged in the report. Default: runs with equal `configHash`. */
  readonly group?: string;
  /** The command line or call that repeats the run. */
  readonly command: string;
  /** The whole resolved configuration. */
  readonly config: JsonValue;
  /** Hash of the configuration without its seed. */
  readonly configHash: string;
  readonly seed: number | string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Where the programs ran, in one line, for example `cpu (2 threads)`. */
  readonly device: string;
  readonly machine: {
    /** For example `linux x64, 2 cores, 24 GiB`. Never a host name. */
    readonly class: string;
    readonly [fact: string]: string | number;
  };
  /** Package or runtime name to version. */
  readonly versions: Readonly<Record<string, string>>;
  /** Commit of the sources, where one is known. */
  readonly commit?: string;
}

/** The figures of one step. A name of the form `group/part` puts the figure in the chart `group` under the legend `part`. */
export interface ScalarsRecord {
  readonly kind: 'scalars';
  readonly step: number;
  readonly time: number;
  readonly values: Readonly<Record<string, number>>;
}

/** One series in columns: what a report embeds instead of one line per step. */
export interface SeriesRecord {
  readonly kind: 'series';
  readonly name: string;
  readonly steps: readonly number[];
  readonly values: readonly number[];
  /** Number of points before down-sampling; absent when nothing was dropped. */
  readonly originalLength?: number;
  /** Values that were NaN or infinite, counted before down-sampling. */
  readonly nonFinite?: number;
}

/** When steps happened: the clock that belongs to columnar series. */
export interface ClockRecord {
  readonly kind: 'clock';
  readonly steps: readonly number[];
  readonly times: readonly number[];
}

/** Metrics over a whole data set. */
export interface EvaluationRecord {
  readonly kind: 'evaluation';
  readonly step: number;
  readonly time: number;
  /** Which data, for example `test`. */
  readonly name: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Distribution of the values of one tensor. */
export interface HistogramRecord {
  readonly kind: 'histogram';
  readonly step: number;
  readonly time: number;
  readonly name: string;
  /** Ascending bin edges, one more than there are bins. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

/** How often each true class was predicted as each class. */
export interface ConfusionMatrixRecord {
  readonly kind: 'confusionMatrix';
  readonly step: number;
  readonly time: number;
  readonly name: string;
  /** Class names; both axes have this order. */
  readonly labels: readonly string[];
  /** `counts[true][predicted]`. */
  readonly counts: readonly (readonly number[])[];
}

/** One picture of an {@link ImagesRecord}. */
export interface SampleImage {
  /** A PNG file in base64, as `encodeImage` makes it. */
  readonly png: string;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** The true class. */
  readonly label?: string;
  /** The predicted class. */
  readonly predicted?: string;
  readonly caption?: string;
}

export interface ImagesRecord {
  readonly kind: 'images';
  readonly step: number;
  readonly time: number;
  readonly name: string;
  readonly images: readonly SampleImage[];
}

/** One text of a {@link TextsRecord}. */
export interface SampleText {
  /** What the model was given. */
  readonly prompt?: string;
  /** What the model wrote. */
  readonly text: string;
  /** What would have been right. */
  readonly reference?: string;
}

export interface TextsRecord {
  readonly kind: 'texts';
  readonly step: number;
  readonly time: number;
  readonly name: string;
  readonly texts: readonly SampleText[];
}

/** Where the time went, added up since the run was started or resumed. A later record replaces an earlier one. */
export interface PhasesRecord {
  readonly kind: 'phases';
  readonly phases: readonly {
    readonly name: string;
    readonly seconds: number;
    /** How many times the phase was entered. */
    readonly count?: number;
  }[];
}

/** Peak memory. A later record replaces an earlier one; of the parts of a resumed run the highest counts. */
export interface MemoryRecord {
  readonly kind: 'memory';
  /** Peak resident memory of the process, or of the page where that is all that is known. */
  readonly peakBytes: number;
  /** Bytes by part, for example `parameters`, `optimiser state`, `activations`. */
  readonly parts?: Readonly<Record<string, number>>;
}

/** What a compiled program consists of. */
export interface GraphRecord {
  readonly kind: 'graph';
  /** Which program, for example `step` or `evaluate`. */
  readonly name: string;
  readonly nodes: number;
  /** Operator name to number of nodes. */
  readonly operators: Readonly<Record<string, number>>;
  /** Nodes that the chosen device cannot run and that fell back to another one. */
  readonly unplaced: readonly { readonly operator: string; readonly node?: string; readonly reason?: string }[];
  /** Trainable values. */
  readonly parameters?: number;
  /** Size of the encoded program. */
  readonly bytes?: number;
  readonly compileSeconds?: number;
}

export interface WarningRecord {
  readonly kind: 'warning';
  readonly message: string;
  readonly step?: number;
}

/** The verdict of one check, for example "the exported model agrees with onnxruntime". */
export interface CheckRecord {
  readonly kind: 'check';
  readonly name: string;
  readonly verdict: 'pass' | 'fail' | 'skipped';
  readonly detail?: string;
}

/** Any other table: participants of a federated run, per-task accuracy, a comparison with a paper. */
export interface TableRecord {
  readonly kind: 'table';
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

/** The run went on from a checkpoint; whatever was recorded for later steps before this line no longer counts. */
export interface ResumedRecord {
  readonly kind: 'resumed';
  readonly step: number;
  readonly time: number;
}

export interface EndRecord {
  readonly kind: 'end';
  readonly step: number;
  readonly time: number;
  readonly reason: 'completed' | 'aborted' | 'failed';
  readonly message?: string;
}

export type MetricRecord =
  | RunHeader
  | ScalarsRecord
  | SeriesRecord
  | ClockRecord
  | EvaluationRecord
  | HistogramRecord
  | ConfusionMatrixRecord
  | ImagesRecord
  | TextsRecord
  | PhasesRecord
  | MemoryRecord
  | GraphRecord
  | WarningRecord
  | CheckRecord
  | TableRecord
  | ResumedRecord
  | EndRecord;
