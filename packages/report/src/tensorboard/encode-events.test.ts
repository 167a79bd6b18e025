import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { base64Encode } from '@bufbuild/protobuf/wire';
import type { MetricRecord } from '../records/metric-record.js';
import { encodeFileVersion, encodeMetricRecord, encodeSessionStart } from './encode-events.js';
import { frameRecord } from './record-framing.js';

/** Made with TensorBoard's own Python package by tools/golden/tensorboard_events.py. */
const golden = JSON.parse(readFileSync(new URL('../../test/golden-events.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>;

const hex = (bytes: Uint8Array | undefined) => Buffer.from(frameRecord(bytes ?? new Uint8Array())).toString('hex');
const png = base64Encode(Buffer.from(golden['png'] ?? '', 'hex'));

describe('events are byte for byte what TensorBoard itself writes', () => {
  test('file version', () => {
    expect(hex(encodeFileVersion(1_764_000_000_250))).toBe(golden['fileVersion']);
  });

  test('session start', () => {
    expect(hex(encodeSessionStart(1_764_000_000_250, 101))).toBe(golden['sessionStart']);
  });

  const records: Record<string, MetricRecord> = {
    scalars: {
      kind: 'scalars',
      step: 7,
      time: 1_764_000_001_500,
      values: { loss: 0.1, 'gradientNorm/conv1': Number.POSITIVE_INFINITY, zero: 0 },
    },
    evaluation: {
      kind: 'evaluation',
      step: 2 ** 40,
      time: 1_764_000_002_000,
      name: 'test',
      metrics: { accuracy: 0.9875 },
    },
    histogram: {
      kind: 'histogram',
      step: 8,
      time: 1_764_000_003_000,
      name: 'dense/weight',
      edges: [-1, 0, 1],
      counts: [2, 4],
    },
    texts: {
      kind: 'texts',
      step: 9,
      time: 1_764_000_004_000,
      name: 'generated',
      texts: [{ prompt: 'Call', text: 'me\nIshmael – ü' }, { text: 'plain' }],
    },
    image: {
      kind: 'images',
      step: 10,
      time: 1_764_000_005_000,
      name: 'samples',
      images: [{ png, width: 1, height: 1, label: '3', predicted: '5' }],
    },
  };

  test.each(Object.keys(records))('%s', (name) => {
    const record = records[name];
    expect(record && hex(encodeMetricRecord(record))).toBe(golden[name]);
  });
});

test('records without a place in TensorBoard make no event', () => {
  expect(encodeMetricRecord({ kind: 'memory', peakBytes: 1 })).toBeUndefined();
  expect(encodeMetricRecord({ kind: 'end', step: 1, time: 0, reason: 'completed' })).toBeUndefined();
});

test('a confusion matrix becomes a table whose cells cannot break it', () => {
  const event = encodeMetricRecord({
    kind: 'confusionMatrix',
    step: 1,
    time: 0,
    name: 'test',
    labels: ['a|b', 'c'],
    counts: [
      [3, 1],
      [0, 2],
    ],
  });
  expect(Buffer.from(event ?? []).toString()).toContain(
    '| true \\ predicted | a\\|b | c |\n|---|---:|---:|\n| a\\|b | 3 | 1 |\n| c | 0 | 2 |',
  );
});
