import { replaceNonFinite } from './json-number.js';
import type { MetricRecord } from './metric-record.js';

/** One line of a metrics file, line feed included. */
export function encodeRecord(record: MetricRecord): string {
  return `${JSON.stringify(record, replaceNonFinite)}\n`;
}

/** A whole metrics file. */
export function encodeRecords(records: Iterable<MetricRecord>): string {
  let text = '';
  for (const record of records) text += encodeRecord(record);
  return text;
}
