import type { TrainEvent } from '@updraft/core';
import type { Pipeline } from '../pipeline.js';
import { Progress } from '../progress.js';

/** The exported model of a run. */
export interface Exported {
  readonly file: string;
  readonly bytes: number;
  /** Names of its outputs. */
  readonly outputs: readonly string[];
  /** What its check found, as a sentence. */
  readonly check: string;
}

/** Where a run tells what happens. */
export interface TrainOutput {
  event(event: TrainEvent): void;
  /** Something that deserves attention and stops nothing. */
  warn(message: string): void;
  /** The run was told to stop and will. */
  stopping(): void;
  /** There is nothing left to do. */
  finished(step: number, folder: string): void;
  /** The run stopped before its end. @param checkpoint The newest one; undefined where there is none. */
  stopped(checkpoint: string | undefined): void;
  exported(exported: Exported): void;
  report(path: string): void;
  /** What a user may write next. */
  next(exported: Exported, pipeline: Pipeline): void;
}

/** Every event as a line of JSON on the standard output, and nothing else there. */
export const jsonOutput = (stream: NodeJS.WriteStream): TrainOutput => {
  const write = (event: object): void => void stream.write(`${JSON.stringify(event)}\n`);
  return {
    event: write,
    warn: (message) => {
      write({ type: 'warning', message });
    },
    stopping: () => undefined,
    finished: (step, output) => {
      write({ type: 'already-finished', step, output });
    },
    stopped: (checkpoint) => {
      write({ type: 'stopped', checkpoint: checkpoint ?? null });
    },
    exported: (exported) => {
      write({ type: 'export', ...exported });
    },
    report: (file) => {
      write({ type: 'report', file });
    },
    next: () => undefined,
  };
};

/** Progress and sentences for people. */
export const humanOutput = (stream: NodeJS.WriteStream): TrainOutput => {
  // A terminal without a size, as in some build services, cannot hold a moving line.
  const progress = new Progress({ stream, terminal: stream.isTTY && stream.columns > 0 && stream.rows > 0 });
  return {
    event: (event) => {
      progress.handle(event);
    },
    warn: (message) => {
      progress.line(`Warning: ${message}`);
    },
    stopping: () => {
      progress.line('Stopping after this step; Ctrl-C again leaves at once, without a checkpoint.');
    },
    finished: (step, folder) => {
      progress.line(
        `The run in "${folder}" has finished its ${step} steps; there is nothing left to do. Give more --steps to go on, another --output, or --fresh to start again.`,
      );
    },
    stopped: (checkpoint) => {
      progress.line(
        checkpoint === undefined
          ? 'There is no checkpoint yet; the same command starts from the beginning.'
          : `The newest checkpoint is ${checkpoint}; run the same command to continue.`,
      );
    },
    exported: ({ file, bytes, check }) => {
      progress.line(`Model: ${file} (${Math.ceil(bytes / 1024)} KiB); ${check}`);
    },
    report: (path) => {
      progress.line(`Report: ${path}`);
    },
    next: (exported, pipeline) => {
      progress.line(nextLines(exported, pipeline));
    },
  };
};

/** The three lines with which any project uses an exported model. */
function nextLines({ file, outputs }: Exported, { model, data }: Pipeline): string {
  const [name, spec] = Object.entries(model.inputs)[0] as [string, (typeof model.inputs)[string]];
  const dims = [1, ...(data.test.columns[name]?.shape ?? spec.shape.slice(1).map(Number))];
  const array = spec.dataType === 'int64' ? 'BigInt64Array' : 'Float32Array';
  const elements = dims.reduce((product, size) => product * size, 1);
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`;
  return [
    '',
    'Use it next in any project:',
    `  import * as ort from 'onnxruntime-node';`,
    `  const session = await ort.InferenceSession.create(${JSON.stringify(file).replaceAll('"', "'")});`,
    `  const { ${outputs.join(', ')} } = await session.run({ ${key}: new ort.Tensor('${spec.dataType}', new ${array}(${elements}), [${dims.join(', ')}]) });`,
  ].join('\n');
}
