/** A value that moves with the step (from 1). Serialisable through `describe`. */
export interface Schedule {
  at(step: number): number;
  /** The options that make this schedule again, with its `type`. */
  describe?(): Readonly<Record<string, number | string | boolean>>;
}

/** A number, or a schedule for it. */
export type ScalarValue = number | Schedule;

export const isSchedule = (value: unknown): value is Schedule =>
  typeof value === 'object' && value !== null && typeof (value as { at?: unknown }).at === 'function';

/** Value of a scalar at a step. */
export const scalarAt = (value: ScalarValue, step: number): number => (typeof value === 'number' ? value : value.at(step));
