import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { OPERATOR_CASES } from './operator-cases.js';
import type { OperatorResult } from './webgpu-operators-run.js';

type Environment = Readonly<Record<string, string | undefined>>;

const dist = new URL('../../dist', import.meta.url).pathname;

/**
 * A script of this folder, run by `use` in processes of its own: the native WebGPU device does not survive the worker
 * processes of jest, and a kernel that crashes takes its process down.
 */
export async function withScript<T>(
  name: string,
  environment: Environment,
  use: (run: (given?: readonly string[]) => Promise<{ stdout: string; stderr: string; failed: boolean }>) => Promise<T>,
): Promise<T> {
  // Beside the package, so that the native runtime is found from there.
  mkdirSync(dist, { recursive: true });
  const folder = mkdtempSync(join(dist, 'webgpu-'));
  try {
    const script = join(folder, 'run.mjs');
    await build({
      entryPoints: [new URL(`./${name}.ts`, import.meta.url).pathname],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      conditions: ['@updraft/source'],
      external: ['onnxruntime-node', 'onnxruntime-common', 'reflect-metadata', 'tsyringe'],
      tsconfigRaw: { compilerOptions: { experimentalDecorators: true } },
    });
    return await use(
      (given = []) =>
        new Promise((resolve, reject) => {
          const child = spawn(process.execPath, [script, ...given], { env: { ...process.env, ...environment } });
          let [stdout, stderr] = ['', ''];
          child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
          child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
          child.on('error', reject);
          child.on('close', (code) => {
            resolve({ stdout, stderr, failed: code !== 0 });
          });
        }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Run a script that prints one JSON value. */
export const runScript = (name: string, environment: Environment = {}): Promise<unknown> =>
  withScript(name, environment, async (run) => {
    const { stdout, stderr, failed } = await run();
    if (failed) throw new Error(stderr);
    return JSON.parse(stdout) as unknown;
  });

/** Measure all cases of operators; one that ends the process is left out and its name given in `crashed`. */
export const measureOperators = (
  environment: Environment = {},
): Promise<{ results: ReadonlyMap<string, OperatorResult>; crashed: readonly string[] }> =>
  withScript('webgpu-operators-run', environment, async (run) => {
    const results = new Map<string, OperatorResult>();
    const crashed: string[] = [];
    let left = Object.keys(OPERATOR_CASES);
    while (left.length > 0) {
      const { stdout, stderr, failed } = await run(left);
      const lines = stdout.split('\n').flatMap((line) => {
        try {
          return line === '' ? [] : [JSON.parse(line) as OperatorResult | { readonly begin: string }];
        } catch {
          // The process ended in the middle of the line.
          return [];
        }
      });
      for (const line of lines) if ('operator' in line) results.set(line.operator, line);
      const begun = lines.flatMap((line) => ('begin' in line ? [line.begin] : []));
      const ended = begun.find((operator) => !results.has(operator));
      if (ended !== undefined) crashed.push(ended);
      else if (failed && results.size < Object.keys(OPERATOR_CASES).length) throw new Error(stderr);
      left = left.filter((operator) => !results.has(operator) && !crashed.includes(operator));
    }
    return { results, crashed };
  });

/** Where an operator runs when the device is WebGPU, as the record in autodiff says it. */
export interface Placement {
  /** `partly`: ONNX Runtime writes it out in others, of which some run on the CPU. */
  readonly runs: 'WebGPU' | 'partly' | 'CPU' | 'crashes';
  /** Operators that its gradient leaves to the CPU, itself not among them unless it does so there alone. */
  readonly gradient: readonly string[];
}

/** Where the measured operators run. */
export function placements({
  results,
  crashed,
}: Awaited<ReturnType<typeof measureOperators>>): Record<string, Placement> {
  const record: Record<string, Placement> = {};
  for (const operator of crashed) record[operator] = { runs: 'crashes', gradient: [] };
  for (const [operator, { forward, whole }] of results) {
    const own = operator.slice(operator.lastIndexOf('.') + 1);
    const runs = forward.fallen.includes(own) ? 'CPU' : forward.fallen.length > 0 ? 'partly' : 'WebGPU';
    const gradient = whole.fallen.filter((name) => !forward.fallen.includes(name)).sort();
    record[operator] = { runs, gradient };
  }
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
