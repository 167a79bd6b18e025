import { madePlugin } from '../plugins/made-plugins.js';
import { specKey } from './plugin-option.js';

/** A value that moves with the step (from 1). Serialisable through `describe`. */
export interface Schedule {
  at(step: number): number;
  /** The options that make this schedule again, with its `type`. */
  describe?(): SerialisedSchedule;
}

/** A number, or a schedule for it. */
export type ScalarValue = number | Schedule;

/** A schedule as configurations and manifests hold it: its `type` and the options of that type. */
export type SerialisedSchedule = Readonly<Record<string, number | string | boolean>>;

/** Makes the schedule that a serialised one describes; throws an `UpdraftError` where it cannot. */
export type ReviveSchedule = (serialised: SerialisedSchedule) => Schedule;

/** Whether a value is a schedule. Arrays, which have a method `at` of their own, are none. */
export const isSchedule = (value: unknown): value is Schedule =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !ArrayBuffer.isView(value) &&
  typeof (value as { at?: unknown }).at === 'function';

/** Whether a value has the form of a serialised schedule. */
export const isSerialisedSchedule = (value: unknown): value is SerialisedSchedule =>
  typeof value === 'object' &&
  value !== null &&
  !isSchedule(value) &&
  typeof (value as { type?: unknown }).type === 'string';

/** Value of a scalar at a step. */
export const scalarAt = (value: ScalarValue, step: number): number =>
  typeof value === 'number' ? value : value.at(step);

/** Options as plain JSON: schedules and plugins become what describes them, functions are left out. */
export function serialiseOptions(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) => {
      if (typeof value === 'function' || value === undefined) return [];
      if (isSchedule(value)) return [[name, value.describe?.() ?? { type: 'custom' }]];
      const plugin = madePlugin(value);
      const key = plugin === undefined ? undefined : specKey(plugin.contract);
      if (plugin === undefined || key === undefined) return [[name, value]];
      return [[name, { [key]: plugin.name, options: serialiseOptions(plugin.options) }]];
    }),
  );
}
