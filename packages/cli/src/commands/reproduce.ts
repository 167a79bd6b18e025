import { createBackend, type Device } from '@updraft/backend';
import {
  plainTable,
  plotExperiment,
  runExperiment,
  withExperiment,
  type Experiment,
  type ExperimentRecord,
  type MethodRecord,
} from '@updraft/testing/experiment';
import { Command, InvalidArgumentError, Option } from 'commander';
import { join, relative } from 'node:path';
import { machineClass, versions } from '../environment.js';
import { CliError } from '../errors.js';
import { stoppable } from '../interrupt.js';
import { durationText } from '../progress.js';
import { findMethod, type Method } from '../reproduce/find-method.js';
import { loadExperiments } from '../reproduce/load-experiments.js';
import { ReproduceProgress } from '../reproduce/reproduce-progress.js';
import { FileRunStore, readRecord, writeJson } from '../reproduce/run-files.js';
import { writeAtomically } from '../write-atomically.js';

interface Flags {
  readonly quick: boolean;
  readonly seeds?: number;
  readonly claim?: string;
  readonly out?: string;
  readonly device: Device | 'auto';
  readonly fresh: boolean;
  readonly json: boolean;
}

/** Fewer seeds do not decide a claim: their records are kept apart, like those of quick runs. */
const LEAST_SEEDS = 3;

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Give a whole number of at least 1.');
  return value;
}

/** `updraft reproduce` */
export const reproduceCommand = (): Command =>
  new Command('reproduce')
    .description('run the experiments of a method and record what they show of its claims')
    .argument('<method>', 'name of the method or its package, or the folder of the package')
    .option('--quick', 'a small workload and one seed, to see that everything works', false)
    .option('--seeds <n>', 'how many seeds; default: what the experiment says, at least 3', positiveInteger)
    .option('--claim <id>', 'only this claim, with the arms that it is about')
    .option(
      '--out <folder>',
      'where the record goes; default: "records" in a package that is worked on, else "records" here',
    )
    .addOption(
      new Option('--device <device>', 'where programs run').choices(['auto', 'webgpu', 'cuda', 'cpu']).default('cpu'),
    )
    .option('--fresh', 'forget runs that are done already', false)
    .option('--json', 'print the record as JSON, and progress on the error stream', false)
    .action((name: string, flags: Flags) => stoppable((signal) => reproduce(name, flags, signal)));

/** @returns Whether it came to its end. */
async function reproduce(name: string, flags: Flags, signal: AbortSignal): Promise<boolean> {
  const method = await findMethod(name);
  const all = await loadExperiments(method);
  const experiments = withClaim(all, flags.claim, method);
  const preliminary = flags.quick || (flags.seeds ?? LEAST_SEEDS) < LEAST_SEEDS;
  const folder = flags.out ?? (method.installed ? 'records' : join(method.folder, 'records'));
  const file = (rest: string): string => join(folder, `${method.slug}${preliminary ? '.quick' : ''}${rest}`);
  const stream = flags.json ? process.stderr : process.stdout;

  const store = await FileRunStore.open(file('.runs.json'), flags.fresh);
  let record: MethodRecord = {
    format: 'updraft-record',
    version: 1,
    method: method.slug,
    package: { name: method.name, version: method.version },
    experiments: [],
  };
  const before = await readRecord(file('.json'));
  const backend = await createBackend({ device: flags.device });
  try {
    for (const experiment of experiments) {
      const progress = new ReproduceProgress(stream, stream.isTTY && !flags.json, experiment.tune.metric);
      stream.write(`${experiment.title}\n${experiment.protocol}\n\n`);
      const done = await runExperiment(experiment, {
        backend,
        store,
        quick: flags.quick,
        signal,
        surroundings: {
          machine: machineClass(),
          versions: { ...versions(), [method.name]: method.version },
          peakMemoryBytes: () => process.resourceUsage().maxRSS * 1024,
        },
        ...(flags.seeds === undefined ? {} : { seeds: flags.seeds }),
        ...(flags.claim === undefined ? {} : { claims: [flags.claim] }),
        onProgress: (event) => {
          progress.handle(event);
        },
      });
      const kept = flags.claim === undefined ? done.record : withOtherClaims(done.record, before);
      record = withExperiment(record, kept);
      stream.write(`\n${summary(done.record)}\n`);
      const plot = plotExperiment(experiment, done);
      // The arms of one claim would make another picture of the same name.
      if (plot !== undefined && flags.claim === undefined)
        await writeAtomically(file(`-${experiment.id}.svg`), new TextEncoder().encode(`${plot}\n`));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    stream.write(`\nStopped. The same command goes on where it was left.\n`);
    return false;
  } finally {
    await backend.dispose();
  }
  // Experiments that were not run now stay as they were recorded.
  for (const experiment of before?.experiments ?? [])
    if (!record.experiments.some(({ id }) => id === experiment.id) && all.some(({ id }) => id === experiment.id))
      record = withExperiment(record, experiment);
  await writeJson(file('.json'), record, 2);
  if (flags.json) process.stdout.write(`${JSON.stringify(record)}\n`);
  stream.write(`Record: ${relative(process.cwd(), file('.json')) || file('.json')}\n`);
  return true;
}

/** The experiments that a claim belongs to; all without a claim. @throws CliError */
function withClaim(
  experiments: readonly Experiment[],
  claim: string | undefined,
  method: Method,
): readonly Experiment[] {
  if (claim === undefined) return experiments;
  const found = experiments.filter(({ claims }) => claims.some(({ id }) => id === claim));
  if (found.length > 0) return found;
  const known = experiments.flatMap(({ claims }) => claims.map(({ id }) => id));
  throw new CliError(`${method.name} makes no claim "${claim}".`, { hint: `Its claims are: ${known.join(', ')}.` });
}

/**
 * One claim run anew within a record of all. Arms and claims that were not run stay as they were, where sizes and seeds
 * are the same; otherwise there is only what was run.
 */
function withOtherClaims(record: ExperimentRecord, before: MethodRecord | undefined): ExperimentRecord {
  const old = before?.experiments.find(({ id }) => id === record.id);
  const same = (facts: ExperimentRecord): string => JSON.stringify([facts.workload, facts.seeds, facts.quick]);
  if (old === undefined || same(old) !== same(record)) return record;
  const merged = <T>(now: readonly T[], then: readonly T[], key: (item: T) => string): T[] => [
    ...then.map((item) => now.find((other) => key(other) === key(item)) ?? item),
    ...now.filter((item) => !then.some((other) => key(other) === key(item))),
  ];
  return {
    ...record,
    arms: merged(record.arms, old.arms, ({ name }) => name),
    claims: merged(record.claims, old.claims, ({ id }) => id),
    configHash: old.configHash,
  };
}

function summary(record: ExperimentRecord): string {
  const memory =
    record.peakMemoryBytes === undefined ? '' : `, at most ${Math.round(record.peakMemoryBytes / 2 ** 20)} MiB`;
  return [
    plainTable(record),
    '',
    ...record.claims.map(
      ({ id, verdict, statement, reason }) => `${verdict.toUpperCase()}: ${id}. ${statement}\n  ${reason}`,
    ),
    '',
    `${record.seeds.length} ${record.seeds.length === 1 ? 'seed' : 'seeds'}, ${durationText(record.milliseconds / 1000)} of runs${memory}, ${record.device}`,
  ].join('\n');
}
