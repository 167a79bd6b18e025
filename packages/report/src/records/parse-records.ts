import { z } from 'zod';
import { MetricsFileError } from '../errors.js';
import { foldRuns } from './fold-run.js';
import { readNumber } from './json-number.js';
import type { JsonValue, MetricRecord } from './metric-record.js';
import type { RunRecord } from './run-record.js';

/** A number as {@link encodeRecord} writes it. */
const number = z
  .union([z.number(), z.enum(['nan', 'inf', '-inf'])])
  .transform((value) => readNumber(value) ?? Number.NaN);
const step = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const count = z.number().nonnegative();
const text = z.string();
const point = { step, time: number };
const json: z.ZodType<JsonValue> = z.json();
const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/u, 'must be base64');

const schemas = [
  z.object({
    kind: z.literal('run'),
    version: z.literal(1),
    name: text,
    group: text.optional(),
    command: text,
    config: json,
    configHash: text,
    seed: z.union([z.number(), text]),
    startedAt: text,
    device: text,
    machine: z.object({ class: text }).catchall(z.union([text, z.number()])),
    versions: z.record(text, text),
    commit: text.optional(),
  }),
  z.object({ kind: z.literal('scalars'), ...point, values: z.record(text, number) }),
  z
    .object({
      kind: z.literal('series'),
      name: text,
      steps: z.array(step),
      values: z.array(number),
      originalLength: count.optional(),
      nonFinite: count.optional(),
    })
    .refine(({ steps, values }) => steps.length === values.length, 'steps and values must have the same length')
    .refine(({ steps }) => ascends(steps), 'steps must ascend'),
  z
    .object({ kind: z.literal('clock'), steps: z.array(step), times: z.array(number) })
    .refine(({ steps, times }) => steps.length === times.length, 'steps and times must have the same length')
    .refine(({ steps }) => ascends(steps), 'steps must ascend'),
  z.object({ kind: z.literal('evaluation'), ...point, name: text, metrics: z.record(text, number) }),
  z
    .object({ kind: z.literal('histogram'), ...point, name: text, edges: z.array(number), counts: z.array(count) })
    .refine(({ edges, counts }) => edges.length === counts.length + 1, 'there must be one more edge than counts'),
  z
    .object({
      kind: z.literal('confusionMatrix'),
      ...point,
      name: text,
      labels: z.array(text),
      counts: z.array(z.array(count)),
    })
    .refine(
      ({ labels, counts }) => counts.length === labels.length && counts.every((row) => row.length === labels.length),
      'counts must be square, with one row per label',
    ),
  z.object({
    kind: z.literal('images'),
    ...point,
    name: text,
    images: z.array(
      z.object({
        png: base64,
        width: z.number().int().positive(),
        height: z.number().int().positive(),
        label: text.optional(),
        predicted: text.optional(),
        caption: text.optional(),
      }),
    ),
  }),
  z.object({
    kind: z.literal('texts'),
    ...point,
    name: text,
    texts: z.array(z.object({ prompt: text.optional(), text, reference: text.optional() })),
  }),
  z.object({
    kind: z.literal('phases'),
    phases: z.array(z.object({ name: text, seconds: number, count: count.optional() })),
  }),
  z.object({ kind: z.literal('memory'), peakBytes: number, parts: z.record(text, number).optional() }),
  z.object({
    kind: z.literal('graph'),
    name: text,
    nodes: count,
    operators: z.record(text, count),
    unplaced: z.array(z.object({ operator: text, node: text.optional(), reason: text.optional() })),
    parameters: count.optional(),
    bytes: count.optional(),
    compileSeconds: number.optional(),
  }),
  z.object({ kind: z.literal('warning'), message: text, step: step.optional() }),
  z.object({
    kind: z.literal('check'),
    name: text,
    verdict: z.enum(['pass', 'fail', 'skipped']),
    detail: text.optional(),
  }),
  z.object({
    kind: z.literal('table'),
    title: text,
    columns: z.array(text),
    rows: z.array(z.array(z.union([number, text, z.null()]))),
  }),
  z.object({ kind: z.literal('resumed'), ...point }),
  z.object({
    kind: z.literal('end'),
    ...point,
    reason: z.enum(['completed', 'aborted', 'failed']),
    message: text.optional(),
  }),
] as const;

const record: z.ZodType<MetricRecord> = z.discriminatedUnion('kind', schemas);

/** Limits of {@link parseRecords}. */
export interface ParseRecordsOptions {
  /** The most characters of one file. Default 256 Mi. */
  readonly maximumLength?: number;
  /** What error messages call the file. Default `metrics`. */
  readonly source?: string;
}

/**
 * Reads and validates one line of a metrics file.
 *
 * @throws MetricsFileError that names the line and the field
 */
export function parseRecord(line: string, lineNumber: number, source = 'metrics'): MetricRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new MetricsFileError(`${source}, line ${lineNumber}: not JSON.`, {
      hint: 'Every line must hold one JSON object; remove the line or restore the file.',
      details: { line: lineNumber },
      cause,
    });
  }
  const result = record.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.length ? ` at ${issue.path.map(String).join('.')}` : '';
  throw new MetricsFileError(
    `${source}, line ${lineNumber}: not a metric record${where}: ${issue?.message ?? 'unknown'}.`,
    {
      hint: 'It may come from another version of Updraft.',
      details: { line: lineNumber, path: issue?.path.map(String) ?? [] },
    },
  );
}

/**
 * Reads a metrics file. A last line without a line feed is what a killed process leaves behind: it is ignored
 * if it cannot be read.
 *
 * @throws MetricsFileError for any other line that is not a metric record, and for files over the limit
 */
export function parseRecords(jsonl: string, options: ParseRecordsOptions = {}): MetricRecord[] {
  const { maximumLength = 256 * 2 ** 20, source = 'metrics' } = options;
  if (jsonl.length > maximumLength) {
    throw new MetricsFileError(`${source} has ${jsonl.length} characters, more than the limit of ${maximumLength}.`, {
      hint: 'Raise `maximumLength`, or record fewer steps.',
    });
  }
  const records: MetricRecord[] = [];
  const lines = jsonl.split('\n');
  lines.forEach((line, index) => {
    if (line.trim() === '') return;
    try {
      records.push(parseRecord(line, index + 1, source));
    } catch (error) {
      if (index !== lines.length - 1) throw error;
    }
  });
  return records;
}

/** Reads a metrics file into runs; one file may hold several, each started by its header. */
export function parseRuns(jsonl: string, options?: ParseRecordsOptions): RunRecord[] {
  return foldRuns(parseRecords(jsonl, options));
}

function ascends(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value > (values[index - 1] ?? 0));
}
