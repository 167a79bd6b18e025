import type { MetricsSink } from './metrics-sink.js';

/** Writes every record to all sinks. One that fails does not keep the record from the others; its error is thrown after. */
export function teeSink(...sinks: readonly MetricsSink[]): MetricsSink {
  return {
    write(record) {
      const errors: unknown[] = [];
      for (const sink of sinks) {
        try {
          sink.write(record);
        } catch (error) {
          errors.push(error);
        }
      }
      throwAny(errors);
    },
    async flush() {
      await settle(sinks.map(async (sink) => sink.flush()));
    },
    async close() {
      await settle(sinks.map(async (sink) => sink.close()));
    },
  };
}

async function settle(tasks: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  throwAny(results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])));
}

function throwAny(errors: readonly unknown[]): void {
  if (errors.length > 1) throw new AggregateError(errors, 'Several metrics sinks failed.');
  if (errors.length === 1) throw errors[0];
}
