import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { base64Decode, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  DataType,
  EventSchema,
  SessionLog_SessionStatus,
  SummarySchema,
  Summary_ValueSchema,
} from '../generated/tfevents_pb.js';
import type {
  ConfusionMatrixRecord,
  HistogramRecord,
  MetricRecord,
  RunHeader,
  SampleText,
} from '../records/metric-record.js';

type SummaryValue = MessageInitShape<typeof Summary_ValueSchema>;
type EventContent = MessageInitShape<typeof EventSchema>['what'];

/** The event that a file must begin with. */
export function encodeFileVersion(time: number): Uint8Array {
  return encodeEvent(time, 0, { case: 'fileVersion', value: 'brain.Event:2' });
}

/** Tells readers to forget what other files of the folder hold for this step and later ones. */
export function encodeSessionStart(time: number, step: number): Uint8Array {
  return encodeEvent(time, step, { case: 'sessionLog', value: { status: SessionLog_SessionStatus.START } });
}

/**
 * The TensorBoard event of a metric record, or undefined for kinds that TensorBoard has no place for
 * (phases, memory, warnings and checks live in the JSON lines and the report).
 */
export function encodeMetricRecord(record: MetricRecord): Uint8Array | undefined {
  switch (record.kind) {
    case 'scalars':
      return encodeScalars(record.time, record.step, record.values, '');
    case 'evaluation':
      return encodeScalars(record.time, record.step, record.metrics, `${record.name}/`);
    case 'histogram':
      return encodeSummary(record.time, record.step, [histogram(record)]);
    case 'images':
      return encodeSummary(
        record.time,
        record.step,
        record.images.map(({ png, width, height, label, predicted, caption }, index) => {
          const encoded = base64Decode(png);
          return {
            tag: `${record.name}/${index}`,
            metadata: {
              pluginData: { pluginName: 'images' },
              summaryDescription: [caption, label && `true: ${label}`, predicted && `predicted: ${predicted}`]
                .filter(Boolean)
                .join(', '),
            },
            value: {
              case: 'image',
              value: { width, height, colorspace: colorspaceOf(encoded), encodedImageString: encoded },
            },
          };
        }),
      );
    case 'texts':
      return encodeSummary(record.time, record.step, [text(record.name, record.texts.map(textToMarkdown))]);
    case 'confusionMatrix':
      return encodeSummary(record.time, record.step, [text(record.name, [confusionToMarkdown(record)])]);
    case 'run':
      return encodeSummary(Date.parse(record.startedAt), 0, [text('run', [headerToMarkdown(record)])]);
    default:
      return undefined;
  }
}

function encodeEvent(time: number, step: number, what: EventContent): Uint8Array {
  return toBinary(EventSchema, create(EventSchema, { wallTime: time / 1000, step: BigInt(step), what }));
}

function encodeSummary(time: number, step: number, value: SummaryValue[]): Uint8Array {
  return encodeEvent(time, step, { case: 'summary', value: { value } });
}

/**
 * The same as {@link encodeSummary} of simple values, written field by field: this runs at every step, and the way over
 * message objects takes about twice as long. Field numbers are those of tfevents.proto.
 */
function encodeScalars(
  time: number,
  step: number,
  values: Readonly<Record<string, number>>,
  prefix: string,
): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(EventSchema.field.wallTime.number, WireType.Bit64).double(time / 1000);
  if (step !== 0) writer.tag(EventSchema.field.step.number, WireType.Varint).int64(step);
  writer.tag(EventSchema.field.summary.number, WireType.LengthDelimited).fork();
  for (const name of Object.keys(values)) {
    writer.tag(SummarySchema.field.value.number, WireType.LengthDelimited).fork();
    writer.tag(Summary_ValueSchema.field.tag.number, WireType.LengthDelimited).string(prefix + name);
    writer
      .tag(Summary_ValueSchema.field.simpleValue.number, WireType.Bit32)
      .float(Math.fround(values[name] ?? Number.NaN));
    writer.join();
  }
  return writer.join().finish();
}

/** TensorBoard wants right edges and moments; the moments come from the middles of the bins. */
function histogram({ name, edges, counts }: HistogramRecord): SummaryValue {
  let num = 0;
  let sum = 0;
  let sumSquares = 0;
  counts.forEach((count, bin) => {
    const middle = ((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2;
    num += count;
    sum += count * middle;
    sumSquares += count * middle * middle;
  });
  return {
    tag: name,
    value: {
      case: 'histo',
      value: {
        min: edges[0] ?? 0,
        max: edges.at(-1) ?? 0,
        num,
        sum,
        sumSquares,
        // The first bucket reaches from minus infinity to the lowest edge and is empty.
        bucketLimit: [...edges],
        bucket: [0, ...counts],
      },
    },
  };
}

function text(tag: string, lines: readonly string[]): SummaryValue {
  const encoder = new TextEncoder();
  return {
    tag,
    metadata: { pluginData: { pluginName: 'text' } },
    value: {
      case: 'tensor',
      value: {
        dtype: DataType.DT_STRING,
        tensorShape: { dim: [{ size: BigInt(lines.length) }] },
        stringVal: lines.map((line) => encoder.encode(line)),
      },
    },
  };
}

/** TensorBoard's colour space from the colour type in a PNG's header (byte 25). */
function colorspaceOf(png: Uint8Array): number {
  const colorspaces: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 };
  return colorspaces[png[25] ?? 6] ?? 4;
}

function textToMarkdown({ prompt, text: written, reference }: SampleText): string {
  return [
    prompt === undefined ? undefined : `**prompt**\n\n${indent(prompt)}`,
    `${prompt === undefined ? '' : '**text**\n\n'}${indent(written)}`,
    reference === undefined ? undefined : `**reference**\n\n${indent(reference)}`,
  ]
    .filter((part) => part !== undefined)
    .join('\n\n');
}

function confusionToMarkdown({ labels, counts }: ConfusionMatrixRecord): string {
  const header = `| true \\ predicted | ${labels.map(cell).join(' | ')} |`;
  const rule = `|---|${labels.map(() => '---:').join('|')}|`;
  const rows = counts.map((row, index) => `| ${cell(labels[index] ?? '')} | ${row.join(' | ')} |`);
  return [header, rule, ...rows].join('\n');
}

function headerToMarkdown(header: RunHeader): string {
  const facts: [string, string][] = [
    ['name', header.name],
    ['command', header.command],
    ['seed', String(header.seed)],
    ['config hash', header.configHash],
    ['device', header.device],
    ['machine', header.machine.class],
    ...Object.entries(header.versions),
  ];
  if (header.commit !== undefined) facts.push(['commit', header.commit]);
  const table = ['| | |', '|---|---|', ...facts.map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`)].join(
    '\n',
  );
  return `${table}\n\n${indent(JSON.stringify(header.config, undefined, 2))}`;
}

/** An indented block is shown as it is, whatever it holds. */
function indent(value: string): string {
  return value
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}

function cell(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', ' ');
}
