import { createHash } from 'node:crypto';
import type { Backend } from '@updraft/backend';
import { CheckpointError, exportModel, train, type TrainEvent, type TrainResult } from '@updraft/core';
import { histogramOf, recordEvents, teeSink, type MetricsSink, type RunHeader } from '@updraft/report';
import { openJsonlSink, openTensorBoardSink, readRuns, writeReport } from '@updraft/report/node';
import { configRecord, type Config } from '../config/schema.js';
import { machineClass, versions } from '../environment.js';
import { withPipeline, type Pipeline } from '../pipeline.js';
import { RunFolder } from '../run-folder.js';
import { writeAtomically } from '../write-atomically.js';
import { checkExport } from './check-export.js';
import type { Exported, TrainOutput } from './output.js';
import { PlainSession } from './plain-session.js';
import { sampleRecord } from './samples.js';

export interface RunTrainingOptions {
  readonly config: Config;
  /** Start again even where the output folder holds a run, which is set aside. */
  readonly fresh: boolean;
  /** What repeats the run, for the report. */
  readonly command: string;
  readonly signal: AbortSignal;
  readonly output: TrainOutput;
}

/**
 * Run a configured pipeline and leave checkpoints, metrics, report and model in its output folder.
 *
 * @returns Whether the run came to its end; false when the signal stopped it.
 */
export async function runTraining(options: RunTrainingOptions): Promise<boolean> {
  const { config } = options;
  const folder = new RunFolder(config.output);
  if (!options.fresh) {
    const step = await folder.exportedStep();
    if (step !== undefined && step >= config.steps) {
      options.output.finished(step, folder.path);
      return true;
    }
  }
  return withPipeline(config, async (pipeline, backend) => {
    if (options.fresh) await folder.setAside();
    await folder.make();
    options.signal.addEventListener('abort', () => {
      options.output.stopping();
    });
    return trainInto(folder, pipeline, backend, options);
  });
}

async function trainInto(
  folder: RunFolder,
  pipeline: Pipeline,
  backend: Backend,
  options: RunTrainingOptions,
): Promise<boolean> {
  const { output, signal } = options;
  const { config } = pipeline;
  const before = (await folder.checkpoints.list()).at(-1);
  const run = train({
    model: pipeline.model,
    sampler: pipeline.sampler,
    reward: pipeline.reward,
    updateRule: pipeline.updateRule,
    backend,
    steps: config.steps,
    seed: config.seed,
    checkpoints: { store: folder.checkpoints, every: config.checkpointEvery },
    evaluation: {
      sampler: pipeline.evaluationSampler,
      ...(config.evaluateEvery === undefined ? {} : { every: config.evaluateEvery }),
    },
    monitorEvery: config.monitorEvery,
    config: configRecord(config),
    signal,
  });
  const events = run[Symbol.asyncIterator]();
  try {
    // The first event comes once the checkpoint is restored, or refused: before that no file of an earlier run is touched.
    const start = (await events.next()).value as Extract<TrainEvent, { readonly type: 'run-start' }>;
    if (before !== undefined && before !== start.resumedFrom) output.warn(await whyPassedOver(folder, before));
    const opening = start.resumedFrom === undefined ? { replace: true } : { resumeAt: start.step };
    const sink = teeSink(
      await openJsonlSink(folder.metrics, opening),
      await openTensorBoardSink(folder.tensorBoard, opening),
    );
    const recorded = recordEvents(chained(start, events), {
      sink,
      header: runHeader(config, backend, options.command),
      flushEvery: config.checkpointEvery,
      ...(pipeline.data.classes === undefined ? {} : { classNames: pipeline.data.classes }),
    });
    const report = async (): Promise<void> => {
      await sink.close();
      await writeReport(folder.report, await readRuns(folder.metrics));
      output.report(folder.report);
    };
    let exported: Exported | undefined;
    try {
      for await (const event of recorded) output.event(event);
      const result = await run.result();
      sink.write({ kind: 'memory', peakBytes: process.resourceUsage().maxRSS * 1024 });
      if (result.reason === 'aborted') output.stopped((await folder.checkpoints.list()).at(-1));
      else exported = await exportAndCheck(folder, pipeline, backend, result, sink);
    } catch (error) {
      // The report tells how far the run came; a fault in it must not hide the fault of the run.
      await report().catch((fault: unknown) => {
        output.warn(`There is no report: ${(fault as Error).message}`);
      });
      throw error;
    }
    if (exported !== undefined) output.exported(exported);
    await report();
    if (exported !== undefined) output.next(exported, pipeline);
    return exported !== undefined;
  } finally {
    await events.return?.();
  }
}

async function* chained(
  first: TrainEvent,
  rest: AsyncIterator<TrainEvent>,
): AsyncGenerator<TrainEvent, void, undefined> {
  yield first;
  for (;;) {
    const next = await rest.next();
    if (next.done === true) return;
    yield next.value;
  }
}

async function whyPassedOver(folder: RunFolder, name: string): Promise<string> {
  try {
    await folder.checkpoints.load(name);
    return `The checkpoint ${name} was passed over.`;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return `A damaged checkpoint was passed over. ${error.message}`;
  }
}

const CHECK = 'The exported model in plain onnxruntime';

/** Export the trained model, try it in plain onnxruntime, and record what it does. */
async function exportAndCheck(
  folder: RunFolder,
  pipeline: Pipeline,
  backend: Backend,
  result: TrainResult,
  sink: MetricsSink,
): Promise<Exported> {
  const values = { ...result.params, ...result.variables };
  const record = { step: result.steps, time: Date.now() };
  for (const [name, { data }] of Object.entries(result.params))
    if (data instanceof Float32Array) sink.write({ kind: 'histogram', ...record, name, ...histogramOf(data) });
  const bytes = exportModel(pipeline.model, {
    values,
    metadata: { 'updraft.config': JSON.stringify(configRecord(pipeline.config)) },
  });
  await writeAtomically(folder.model, bytes);
  try {
    const session = await PlainSession.open(folder.model);
    try {
      const check = await checkExport(session, pipeline, backend, values, result.evaluation);
      sink.write({ kind: 'check', name: CHECK, verdict: 'pass', detail: check });
      const samples = await sampleRecord(session, pipeline, result.steps);
      if (samples !== undefined) sink.write(samples);
      return { file: folder.model, bytes: bytes.length, outputs: session.outputNames, check };
    } finally {
      await session.close();
    }
  } catch (error) {
    sink.write({ kind: 'check', name: CHECK, verdict: 'fail', detail: (error as Error).message });
    throw error;
  }
}

/** Of the configuration without its seed: runs that differ in nothing else are averaged in reports. */
function configHash(config: Config): string {
  const { seed: _, ...others } = configRecord(config);
  return createHash('sha256').update(JSON.stringify(others)).digest('hex').slice(0, 12);
}

const runHeader = (config: Config, backend: Backend, command: string): RunHeader => ({
  kind: 'run',
  version: 1,
  name: config.name,
  command,
  config: configRecord(config),
  configHash: configHash(config),
  seed: config.seed,
  startedAt: new Date().toISOString(),
  device: backend.device,
  machine: { class: machineClass() },
  versions: versions(),
});
