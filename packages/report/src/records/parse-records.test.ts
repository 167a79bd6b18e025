import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sampleHeader, sampleRecords } from '../../test/sample-runs.js';
import { MetricsFileError } from '../errors.js';
import { compactRun } from './compact-run.js';
import { encodeRecord, encodeRecords } from './encode-records.js';
import { foldRuns } from './fold-run.js';
import { parseRecords, parseRuns } from './parse-records.js';

test('every kind of record survives the file', () => {
  const records = sampleRecords({ steps: 30 });
  expect(new Set(records.map(({ kind }) => kind)).size).toBeGreaterThan(12);
  expect(parseRecords(encodeRecords(records))).toEqual(records);
});

test('any numbers survive, NaN and infinities too', () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string().filter((key) => key !== '__proto__'),
        fc.double({ noDefaultInfinity: false }),
      ),
      (values) => {
        // JSON has no minus zero.
        const plain = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === 0 ? 0 : value]));
        const record = { kind: 'scalars' as const, step: 3, time: 5, values: plain };
        expect(parseRecords(encodeRecord(record))).toEqual([record]);
      },
    ),
  );
});

test('a compact run folds to the same run, but for the points that were dropped', () => {
  const [run] = foldRuns([
    ...sampleRecords({ steps: 400 }).slice(0, -1),
    { kind: 'resumed', step: 380, time: 1_764_000_000_000 },
  ]);
  if (run === undefined) throw new Error('no run');
  const [again] = parseRuns(encodeRecords(compactRun(run, 50)));
  expect(again?.series.get('loss')?.steps).toHaveLength(50);
  expect(again?.series.get('loss')?.originalLength).toBe(380);
  expect({ ...again, series: 0, clock: 0 }).toEqual({ ...run, series: 0, clock: 0 });
  expect([...(again?.series.keys() ?? [])]).toEqual([...run.series.keys()]);
});

describe('damaged files', () => {
  const good = encodeRecords([sampleHeader(), { kind: 'scalars', step: 1, time: 0, values: { loss: 1 } }]);

  test('a torn last line is left out', () => {
    const torn = encodeRecord({ kind: 'scalars', step: 2, time: 0, values: { loss: 0.5 } });
    for (let length = 1; length < torn.length - 1; length += 1) {
      expect(parseRuns(good + torn.slice(0, length))[0]?.series.get('loss')?.steps).toEqual([1]);
    }
  });

  test.each([
    ['not JSON', '{"kind":\n', /line 3: not JSON/u],
    ['no object', '17\n', /line 3: not a metric record/u],
    ['an unknown kind', '{"kind":"scalar"}\n', /line 3: not a metric record at kind/u],
    ['a wrong type', '{"kind":"scalars","step":1,"time":0,"values":{"loss":"high"}}\n', /line 3: .* at values\.loss/u],
    ['a step that is no count', '{"kind":"warning","message":"","step":-1}\n', /line 3: .* at step/u],
    ['columns of different lengths', '{"kind":"series","name":"loss","steps":[1,2],"values":[1]}\n', /same length/u],
    ['steps that do not ascend', '{"kind":"series","name":"loss","steps":[2,2],"values":[1,1]}\n', /ascend/u],
    [
      'a matrix that is not square',
      '{"kind":"confusionMatrix","step":1,"time":0,"name":"","labels":["a"],"counts":[[1,2]]}\n',
      /square/u,
    ],
    [
      'a picture that is no base64',
      '{"kind":"images","step":1,"time":0,"name":"","images":[{"png":"\\"onload=","width":1,"height":1}]}\n',
      /base64/u,
    ],
    ['a line of another format version', '{"kind":"run","version":2}\n', /line 3: .* at version/u],
  ])('%s is named with its line', (_name, line, message) => {
    const parse = () => parseRecords(good + line);
    expect(parse).toThrow(MetricsFileError);
    expect(parse).toThrow(message);
  });

  test('a file over the limit is refused before it is read', () => {
    expect(() => parseRecords(good, { maximumLength: 10, source: 'big.jsonl' })).toThrow(
      /big\.jsonl has \d+ characters/u,
    );
  });

  test('random text is an error or ignored, never something else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (junk) => {
        try {
          expect(Array.isArray(parseRecords(`${good}${junk}\n{}\n`))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(MetricsFileError);
        }
      }),
    );
  });
});
