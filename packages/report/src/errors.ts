import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** A metrics file does not hold what it should. */
export class MetricsFileError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('METRICS_FILE', message, options);
  }
}

/** Metrics could not be written, for example because the disk is full. What was written before is intact. */
export class MetricsSinkError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('METRICS_SINK', message, options);
  }
}

/** A report cannot be made from what was given. */
export class ReportError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('REPORT', message, options);
  }
}
