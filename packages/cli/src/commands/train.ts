import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createBackend } from '@updraft/backend';
import {
  evaluate,
  exportModel,
  train,
  type EvaluationResult,
  type JsonValue,
  type Model,
  type TrainEvent,
} from '@updraft/core';
import { FileCheckpointStore } from '@updraft/core/node';
import { batchBuffers, gather, type Dataset } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { recordEvents, teeSink, type RunHeader } from '@updraft/report';
import { openJsonlSink, openTensorBoardSink, readRuns, writeReport } from '@updraft/report/node';
import * as ort from 'onnxruntime-node';
import type { Config } from '../config.js';
import { CliError } from '../errors.js';
import { buildPipeline, type Pipeline } from '../pipeline.js';
import { Progress } from '../progress.js';

export interface TrainCommandOptions {
  readonly config: Config;
  /** Print events as JSON lines instead of progress. */
  readonly json: boolean;
  /** Start again even where the output folder holds a run. */
  readonly fresh: boolean;
  readonly command: string;
  readonly signal: AbortSignal;
}

const configHash = (config: Config): string =>
  createHash('sha256').update(JSON.stringify(config)).digest('hex').slice(0, 12);

/** Run a configured pipeline and leave checkpoints, metrics, report and model in its output folder. */
export async function trainCommand({ config, json, fresh, command, signal }: TrainCommandOptions): Promise<void> {
  const pipeline = await buildPipeline(config);
  await mkdir(config.output, { recursive: true });
  const store = new FileCheckpointStore(join(config.output, 'checkpoints'));
  const newest = fresh ? undefined : (await store.list()).at(-1);
  if (fresh) await setAside(config.output);
  const resumeAt = newest === undefined ? undefined : (await store.load(newest)).manifest.step;
  if (resumeAt !== undefined && resumeAt >= config.steps)
    throw new CliError(`The run in "${config.output}" has finished its ${resumeAt} steps.`, {
      hint: 'Give more steps, another --output, or --fresh to start again.',
    });
  const backend = await createBackend({ device: config.device });
  const jsonl = join(config.output, 'metrics.jsonl');
  const opening = resumeAt === undefined ? { replace: true } : { resumeAt };
  const sink = teeSink(
    await openJsonlSink(jsonl, opening),
    await openTensorBoardSink(join(config.output, 'tensorboard'), opening),
  );
  const header: RunHeader = {
    kind: 'run',
    version: 1,
    name: config.name,
    command,
    config: JSON.parse(JSON.stringify(config)) as Record<string, never>,
    configHash: configHash(config),
    seed: config.seed,
    startedAt: new Date().toISOString(),
    device: backend.device,
    machine: { class: `${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}` },
    versions: { node: process.versions.node, onnxruntime: ort.env.versions.node ?? '' },
  };
  const run = train({
    model: pipeline.model,
    sampler: pipeline.sampler,
    reward: pipeline.reward,
    updateRule: pipeline.updateRule,
    backend,
    steps: config.steps,
    seed: config.seed,
    checkpoints: { store, every: config.checkpointEvery },
    evaluation: {
      sampler: pipeline.evaluationSampler,
      ...(config.evaluateEvery === undefined ? {} : { every: config.evaluateEvery }),
    },
    monitorEvery: config.monitorEvery,
    config: JSON.parse(JSON.stringify(config)) as JsonValue,
    signal,
  });
  const progress = new Progress({ stream: process.stdout, terminal: process.stdout.isTTY });
  const print = (text: string): void => {
    if (!json) process.stdout.write(`${text}\n`);
  };
  try {
    for await (const event of recordEvents<TrainEvent>(run, { sink, header, flushEvery: config.checkpointEvery })) {
      if (json) process.stdout.write(`${JSON.stringify(event)}\n`);
      else progress.handle(event);
    }
    const result = await run.result();
    sink.write({ kind: 'memory', peakBytes: process.resourceUsage().maxRSS * 1024 });
    if (result.reason === 'aborted') {
      print(`The checkpoint is in ${join(config.output, 'checkpoints')}; run the same command to continue.`);
      return;
    }
    const values = { ...result.params, ...result.variables };
    const bytes = exportModel(pipeline.model, { values, metadata: { 'updraft.config': JSON.stringify(config) } });
    const modelPath = join(config.output, 'model.onnx');
    await writeAtomically(modelPath, bytes);
    const difference = await checkExport(modelPath, pipeline, values, result.evaluation);
    sink.write({ kind: 'check', name: 'The exported model in plain onnxruntime', verdict: 'pass', detail: difference });
    print(`Exported ${modelPath} (${(bytes.length / 1024).toFixed(0)} KiB); ${difference}`);
    if (!json) printNext(pipeline.model, modelPath, pipeline.data.test);
  } finally {
    await sink.close();
    await backend.dispose();
    const report = join(config.output, 'report.html');
    await writeReport(report, await readRuns(jsonl));
    print(`Report: ${report}`);
  }
}

/** Keep an earlier run under another name. */
async function setAside(folder: string): Promise<void> {
  const entries = await readdir(folder);
  if (!entries.includes('checkpoints')) return;
  await rename(folder, `${folder}-${new Date().toISOString().replace(/[:.]/g, '-')}`);
  await mkdir(folder, { recursive: true });
}

async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  await writeFile(partial, bytes, { flush: true });
  await rename(partial, path);
}

/** Examples on which the exported model is compared. */
const CHECKED_EXAMPLES = 500;

/** Load the exported file as any user would and compare its loss and accuracy with the trained model's. */
async function checkExport(
  path: string,
  pipeline: Pipeline,
  values: Readonly<Record<string, TensorData>>,
  trained: EvaluationResult | undefined,
): Promise<string> {
  const session = await ort.InferenceSession.create(path);
  const { test } = pipeline.data;
  const indices = Array.from({ length: Math.min(CHECKED_EXAMPLES, test.length) }, (_, index) => index);
  const columns = gather(test, indices, batchBuffers(test, indices.length));
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => {
      const column = columns[name] as TensorData;
      return [name, new ort.Tensor(column.dataType as 'float32', column.data as Float32Array, column.dims)];
    }),
  );
  const outputs = await session.run(feeds);
  const output = outputs[session.outputNames[0] as string] as ort.Tensor;
  if (!(output.data as Float32Array).every(Number.isFinite))
    throw new CliError(`The exported model "${path}" gives values that are not finite.`);
  await session.release();
  const backend = await createBackend({ device: 'cpu' });
  try {
    const reloaded = await evaluate({
      model: pipeline.model,
      reward: pipeline.reward,
      backend,
      residents: values,
      sampler: pipeline.evaluationSampler,
    });
    const classes = output.dims.at(-1) as number;
    const labels = columns['label'];
    if (labels === undefined || output.dims.length !== 2 || trained === undefined)
      return 'plain onnxruntime loads and runs it.';
    let correct = 0;
    for (let row = 0; row < indices.length; row++) {
      const scores = (output.data as Float32Array).subarray(row * classes, (row + 1) * classes);
      if (scores.indexOf(Math.max(...scores)) === Number(labels.data[row])) correct++;
    }
    const gap = Math.abs(reloaded.loss - trained.loss) / Math.max(1e-12, Math.abs(trained.loss));
    if (gap > 1e-3)
      throw new CliError(
        `The reloaded parameters give the test loss ${reloaded.loss}, the trained ones ${trained.loss}.`,
      );
    return `plain onnxruntime loads it and gets ${correct} of the first ${indices.length} test examples right.`;
  } finally {
    await backend.dispose();
  }
}

function printNext(model: Model, path: string, test: Dataset): void {
  const [name, spec] = Object.entries(model.inputs)[0] as [string, Model['inputs'][string]];
  const dims = [1, ...(test.columns[name]?.shape ?? spec.shape.slice(1))];
  const array = spec.dataType === 'int64' ? 'BigInt64Array' : 'Float32Array';
  process.stdout.write(
    [
      '',
      'Use it next in any project:',
      `  import * as ort from 'onnxruntime-node';`,
      `  const session = await ort.InferenceSession.create('${path}');`,
      `  const { logits } = await session.run({ ${name}: new ort.Tensor('${spec.dataType}', new ${array}(${dims.reduce((a, b) => Number(a) * Number(b), 1)}), [${dims.join(', ')}]) });`,
      '',
    ].join('\n'),
  );
}
