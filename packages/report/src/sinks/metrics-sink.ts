import type { MetricRecord } from '../records/metric-record.js';

/**
 * Takes metric records as they come. `write` is cheap enough for every step: it may keep the record in memory until
 * `flush`, which must be called before a checkpoint is declared complete so that a resumed run finds the metrics of
 * every step up to it.
 */
export interface MetricsSink {
  /** @throws MetricsSinkError when the destination fails; what was written before stays intact. */
  write(record: MetricRecord): void;
  /** Hands everything that was written to the operating system. */
  flush(): void | Promise<void>;
  /** Flushes and gives back what the sink holds. Writing afterwards throws. */
  close(): void | Promise<void>;
}
