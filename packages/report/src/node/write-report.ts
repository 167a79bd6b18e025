import { renderReport, type RenderReportOptions } from '../html/render-report.js';
import type { RunRecord } from '../records/run-record.js';
import { replaceFile } from './replace-file.js';

/** Renders the report and writes it in one piece. */
export async function writeReport(
  path: string,
  runs: readonly RunRecord[],
  options?: RenderReportOptions,
): Promise<void> {
  await replaceFile(path, [renderReport(runs, options)]);
}
