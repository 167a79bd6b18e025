import { describe, expect, test } from '@jest/globals';
import type { TrainEvent } from '@updraft/core';
import { sampleHeader } from '../../test/sample-runs.js';
import type { MetricRecord } from '../records/metric-record.js';
import { recordEvents, type RecordedEvent } from './record-events.js';

function memorySink() {
  const log: (MetricRecord | 'flush')[] = [];
  return {
    log,
    write: (record: MetricRecord) => void log.push(record),
    flush: () => void log.push('flush'),
    close: () => {},
  };
}

const step = (number: number, milliseconds = 10): RecordedEvent => ({
  type: 'step',
  step: number,
  loss: 1 / number,
  metrics: { loss: 1 / number, 'gradientNorm/dense': 2 },
  scalars: { learningRate: 0.1 },
  batchSize: 32,
  milliseconds,
  runMilliseconds: 6,
  drawMilliseconds: 1,
});

async function* stream(...events: ({ type: string } & object)[]) {
  yield* events;
}

async function drain(events: AsyncIterable<unknown>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test('events become records and pass unchanged', async () => {
  const sink = memorySink();
  const events = [
    { type: 'run-start', step: 0 },
    { type: 'compile', step: 1, milliseconds: 300 },
    step(1, 310),
    step(2),
    { type: 'of another driver', colour: 'green' },
    { type: 'evaluation', step: 2, metrics: { accuracy: 0.75 } },
    { type: 'warning', step: 2, message: 'careful' },
    { type: 'run-end', step: 2, reason: 'steps' },
  ];
  expect(await drain(recordEvents(stream(...events), { sink, header: sampleHeader(), now: () => 77 }))).toEqual(events);
  const values = { learningRate: 0.1, 'gradientNorm/dense': 2, 'throughput/steps': 100, 'throughput/examples': 3200 };
  expect(sink.log).toEqual([
    sampleHeader(),
    // The compile before step 1 is no part of its throughput.
    { kind: 'scalars', step: 1, time: 77, values: { ...values, loss: 1 } },
    { kind: 'scalars', step: 2, time: 77, values: { ...values, loss: 0.5 } },
    { kind: 'evaluation', step: 2, time: 77, name: 'test', metrics: { accuracy: 0.75 } },
    { kind: 'warning', step: 2, message: 'careful' },
    {
      kind: 'phases',
      phases: [
        { name: 'compile', seconds: 0.3, count: 1 },
        { name: 'run step', seconds: 0.012, count: 2 },
        { name: 'wait for batch', seconds: 0.002, count: 2 },
        { name: 'other host work', seconds: 0.006, count: 2 },
      ],
    },
    { kind: 'end', step: 2, time: 77, reason: 'completed' },
    'flush',
  ]);
});

test('an evaluation of the train driver brings its loss and its confusion matrix', async () => {
  const sink = memorySink();
  const event: TrainEvent = {
    type: 'evaluation',
    step: 4,
    loss: 0.5,
    metrics: { accuracy: 0.8 },
    examples: 5,
    milliseconds: 20,
    confusion: [
      [3, 1],
      [0, 1],
    ],
  };
  // Every event of the driver has the shape that is recorded.
  const recorded: RecordedEvent = event;
  await drain(
    recordEvents(stream(recorded), {
      sink,
      header: sampleHeader(),
      now: () => 1,
      evaluationName: 'validation',
      classNames: ['cat'],
    }),
  );
  expect(sink.log.slice(1, 3)).toEqual([
    { kind: 'evaluation', step: 4, time: 1, name: 'validation', metrics: { accuracy: 0.8, loss: 0.5 } },
    {
      kind: 'confusionMatrix',
      step: 4,
      time: 1,
      name: 'validation',
      labels: ['cat', '1'],
      counts: [
        [3, 1],
        [0, 1],
      ],
    },
  ]);
});

describe('the end is recorded whatever it is', () => {
  test('an error goes on to the caller', async () => {
    const sink = memorySink();
    async function* broken() {
      yield step(1);
      throw new Error('The loss is NaN at step 2.');
    }
    await expect(drain(recordEvents(broken(), { sink, header: sampleHeader(), now: () => 1 }))).rejects.toThrow('NaN');
    expect(sink.log.slice(-2)).toEqual([
      { kind: 'end', step: 1, time: 1, reason: 'failed', message: 'The loss is NaN at step 2.' },
      'flush',
    ]);
  });

  test('leaving the loop is an abort, and ends the source', async () => {
    const sink = memorySink();
    let ended = false;
    async function* source() {
      try {
        for (let number = 1; ; number += 1) yield step(number);
      } finally {
        ended = true;
      }
    }
    for await (const event of recordEvents(source(), { sink, header: sampleHeader(), now: () => 1 })) {
      if (event.type === 'step' && event.step === 3) break;
    }
    expect(ended).toBe(true);
    expect(sink.log.slice(-2)).toEqual([{ kind: 'end', step: 3, time: 1, reason: 'aborted' }, 'flush']);
  });
});

test('metrics of a step are flushed before its checkpoint can be', async () => {
  const sink = memorySink();
  const steps: (string | number)[] = [];
  for await (const event of recordEvents(stream(step(1), step(2), step(3), step(4)), {
    sink,
    header: sampleHeader(),
    flushEvery: 2,
  })) {
    if (event.type === 'step') steps.push(sink.log.at(-1) === 'flush' ? 'flushed' : 'waiting');
  }
  expect(steps).toEqual(['waiting', 'flushed', 'waiting', 'flushed']);
});

test('only every n-th step is recorded when that is asked for', async () => {
  const sink = memorySink();
  const steps = Array.from({ length: 7 }, (_value, index) => step(index + 1));
  await drain(recordEvents(stream(...steps), { sink, header: sampleHeader(), recordEvery: 3 }));
  expect(sink.log.flatMap((record) => (record !== 'flush' && record.kind === 'scalars' ? [record.step] : []))).toEqual([
    1, 3, 6,
  ]);
  // The time of all steps is counted.
  expect(sink.log.find((record) => record !== 'flush' && record.kind === 'phases')).toMatchObject({
    phases: [{ name: 'run step', count: 7 }, {}, {}],
  });
});
