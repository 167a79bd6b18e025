import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { encodeRecord } from '../records/encode-records.js';
import type { MetricsSink } from '../sinks/metrics-sink.js';
import { AppendFile } from './append-file.js';
import type { FileSinkOptions } from './file-sink-options.js';
import { readLines } from './read-lines.js';
import { replaceFile } from './replace-file.js';

/**
 * Opens a metrics file of one JSON object per line. Missing folders are made.
 *
 * When a run is taken up again the header that is already in the file stays, and a second one that is written is
 * ignored: a driver may always write its header first.
 *
 * @throws MetricsSinkError if the file cannot be opened, or holds an earlier run and no option says what to do
 */
export async function openJsonlSink(path: string, options: FileSinkOptions = {}): Promise<MetricsSink> {
  const { resumeAt, replace = false, flushInterval } = options;
  await mkdir(dirname(path), { recursive: true });
  const earlier = resumeAt !== undefined && existsSync(path) ? await removeLaterRecords(path, resumeAt) : undefined;
  const file = new AppendFile(path, {
    flags: resumeAt !== undefined ? 'a' : replace ? 'w' : 'ax',
    ...(flushInterval === undefined ? {} : { flushInterval }),
  });
  let hasHeader = earlier?.hasHeader ?? false;
  if (resumeAt !== undefined && hasHeader) {
    file.append(encodeRecord({ kind: 'resumed', step: resumeAt, time: Date.now() }));
    if (earlier !== undefined && earlier.unreadable > 0) {
      const message = `${earlier.unreadable} unreadable lines were removed from the metrics file when the run was resumed.`;
      file.append(encodeRecord({ kind: 'warning', message, step: resumeAt }));
    }
  }
  return {
    write(record) {
      if (record.kind === 'run') {
        if (hasHeader && resumeAt !== undefined) return;
        hasHeader = true;
      }
      file.append(encodeRecord(record));
    },
    flush: () => file.flush(),
    close: () => file.close(),
  };
}

/** What {@link removeLaterRecords} met in the file. */
interface EarlierRecords {
  hasHeader: boolean;
  /** Lines that could not be read, besides a torn last one, which is the normal mark of a killed process. */
  unreadable: number;
}

/**
 * Rewrites the file without the records of steps after `step`. It is rewritten rather than cut off because
 * evaluations may stand between the steps that they belong to, and because a last line without a line feed must not
 * be joined to the next record.
 */
async function removeLaterRecords(path: string, step: number): Promise<EarlierRecords> {
  const found: EarlierRecords = { hasHeader: false, unreadable: 0 };
  await replaceFile(path, keptLines(path, step, found));
  return found;
}

async function* keptLines(path: string, step: number, found: EarlierRecords): AsyncGenerator<string> {
  let lastWasUnreadable = false;
  for await (const line of readLines(path)) {
    if (lastWasUnreadable) found.unreadable += 1;
    const verdict = judge(line, step);
    lastWasUnreadable = verdict === 'unreadable';
    if (verdict === 'header') found.hasHeader = true;
    if (verdict === 'header' || verdict === 'kept') yield `${line}\n`;
  }
}

/** Looks at no more than it must: a long run has millions of lines. */
function judge(line: string, step: number): 'header' | 'kept' | 'later' | 'unreadable' {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    return 'unreadable';
  }
  if (typeof record !== 'object' || record === null || !('kind' in record)) return 'unreadable';
  if (record.kind === 'run') return 'header';
  // A run that goes on has not ended, at whatever step it was stopped.
  if (record.kind === 'end') return 'later';
  return 'step' in record && typeof record.step === 'number' && record.step > step ? 'later' : 'kept';
}
