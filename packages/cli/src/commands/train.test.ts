import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { batchBuffers, gather, twoMoons } from '@updraft/data';
import * as ort from 'onnxruntime-node';
import { inFolder, jsonLines, updraft } from '../testing/command.js';

const checkpoints = (run: string): string[] => readdirSync(join(run, 'checkpoints')).sort();
const tensors = (run: string, step: number): Buffer =>
  readFileSync(join(run, 'checkpoints', `step-${String(step).padStart(9, '0')}`, 'tensors.safetensors'));
const metrics = (run: string) => jsonLines(readFileSync(join(run, 'metrics.jsonl'), 'utf8'));

/** Cross entropy and accuracy by hand, in float64. */
async function measure(model: string, x: Float32Array, labels: ArrayLike<bigint>) {
  const session = await ort.InferenceSession.create(model);
  const rows = labels.length;
  const output = await session.run({ x: new ort.Tensor('float32', x, [rows, x.length / rows]) });
  const logits = output['logits']!.data as Float32Array;
  const classes = logits.length / rows;
  let [loss, right] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const scores = Array.from(logits.subarray(row * classes, (row + 1) * classes));
    const label = Number(labels[row]);
    loss += Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[label]!;
    if (scores.indexOf(Math.max(...scores)) === label) right++;
  }
  await session.release();
  return { loss: loss / rows, accuracy: right / rows };
}

const moons = ['train', '--model', 'mlp', '--data', 'moons', '--option', 'model.hidden=[16]'];
const quick = [...moons, '--option', 'updateRule.learningRate=0.02', '--seed', '3', '--device', 'cpu'];

test('a run by flags leaves checkpoints, metrics, a report and a model that plain onnxruntime agrees with', async () => {
  await inFolder(async (folder) => {
    const flags = [...quick, '--set', 'checkpointEvery=50', '--output', 'run'];
    const run = join(folder, 'run');
    const first = updraft(folder, ...flags, '--steps', '120');
    expect(first).toMatchObject({ status: 0, stderr: '' });
    // 2 × 16 + 16 weights and biases, then 16 × 2 + 2.
    expect(first.stdout).toContain('Training 82 parameters for 120 steps, seed 3.');
    expect(first.stdout).toMatch(
      /step 120\/120 {2}loss \d\.\d{4} {2}accuracy \d\.\d{4} {2}[\d.]+ steps\/s {2}0 s left {2}cpu/,
    );
    expect(first.stdout).toContain(
      "const { logits } = await session.run({ x: new ort.Tensor('float32', new Float32Array(2), [1, 2]) });",
    );
    // No terminal, no escape sequences.
    expect(first.stdout).not.toContain('\u001b');
    expect(checkpoints(run)).toEqual(['step-000000050', 'step-000000100', 'step-000000120']);

    const records = metrics(run);
    expect(records.filter(({ kind }) => kind === 'scalars').map(({ step }) => step)).toEqual(
      Array.from({ length: 120 }, (_, index) => index + 1),
    );
    expect(records.find(({ kind }) => kind === 'check')).toMatchObject({ verdict: 'pass' });
    expect(records.find(({ kind }) => kind === 'confusionMatrix')).toMatchObject({ labels: ['upper', 'lower'] });
    expect(records[0]).toMatchObject({ kind: 'run', seed: 3, command: expect.stringContaining("'model.hidden=[16]'") });
    const [events] = readdirSync(join(run, 'tensorboard'));
    expect(statSync(join(run, 'tensorboard', events!)).size).toBeGreaterThan(5000);
    const report = readFileSync(join(run, 'report.html'), 'utf8');
    expect(report.length).toBeLessThan(1_000_000);
    expect(report).not.toMatch(/(?:src|href)\s*=\s*["']?(?:https?:|\/)|@import|url\(\s*["']?http/);

    // The configuration is that of the checkpoint.
    const evaluated = updraft(folder, 'evaluate', '--output', 'run', '--json');
    const {
      loss,
      metrics: found,
      ...rest
    } = JSON.parse(evaluated.stdout) as {
      loss: number;
      metrics: { accuracy: number };
      examples: number;
      checkpoint: string;
    };
    expect(rest).toMatchObject({ checkpoint: 'step-000000120', examples: 2000, device: 'cpu' });
    const data = twoMoons({ count: 2000, noise: 0.1, seed: 2 });
    const indices = Array.from({ length: 2000 }, (_, index) => index);
    const columns = gather(data, indices, batchBuffers(data, 2000));
    const byHand = await measure(
      join(run, 'model.onnx'),
      columns['x']!.data as Float32Array,
      columns['label']!.data as BigInt64Array,
    );
    expect(found.accuracy).toBeCloseTo(byHand.accuracy, 6);
    expect(Math.abs(loss - byHand.loss)).toBeLessThan(1e-6);
    expect(byHand.accuracy).toBeGreaterThan(0.9);

    const exported = updraft(folder, 'export', '--output', 'run', '--to', 'again.onnx');
    expect(exported).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(folder, 'again.onnx')).equals(readFileSync(join(run, 'model.onnx')))).toBe(true);
    const nowhere = updraft(folder, 'export', '--output', 'run', '--to', 'nowhere/again.onnx');
    expect(nowhere.status).toBe(1);
    expect(nowhere.stderr).toBe(
      'Error (cli): The file "nowhere/again.onnx" cannot be written: it does not exist. Check the path.\n',
    );
    expect(readdirSync(folder).sort()).toEqual(['again.onnx', 'run']);

    const finished = updraft(folder, ...flags, '--steps', '120');
    expect(finished).toMatchObject({ status: 0, stderr: '' });
    expect(finished.stdout).toContain('The run in "run" has finished its 120 steps; there is nothing left to do.');
    const longer = updraft(folder, ...flags, '--steps', '130');
    expect(longer.stdout).toContain('Continuing from step-000000120 to step 130.');
    const fresh = updraft(folder, ...flags, '--steps', '10', '--fresh');
    expect(fresh.status).toBe(0);
    expect(checkpoints(run)).toEqual(['step-000000010']);
    const aside = readdirSync(folder).find((name) => name.startsWith('run-'));
    expect(checkpoints(join(folder, aside!))).toContain('step-000000130');
  });
}, 180_000);

test('--json prints every event in order, and nothing else', async () => {
  await inFolder((folder) => {
    const { status, stdout, stderr } = updraft(
      folder,
      ...quick,
      '--steps',
      '6',
      '--set',
      'checkpointEvery=4',
      '--json',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const events = jsonLines(stdout);
    const types = events.map(({ type }) => type as string);
    expect(types.filter((type) => type === 'step')).toHaveLength(6);
    expect(events.filter(({ type }) => type === 'step').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    const order = ['run-start', 'compile', 'step', 'evaluation', 'checkpoint', 'run-end', 'export', 'report'];
    expect(order.map((type) => types.lastIndexOf(type))).toEqual(
      order.map((type) => types.lastIndexOf(type)).sort((a, b) => a - b),
    );
    expect([types[0], types.at(-1)]).toEqual(['run-start', 'report']);
    expect(new Set(types)).toEqual(new Set(order));
    // The default folder.
    expect(existsSync(join(folder, 'runs/latest/model.onnx'))).toBe(true);
  });
}, 60_000);

test('tables with classes and with numbers, and texts, train to the end', async () => {
  await inFolder(async (folder) => {
    // y = 3a − 2b + 1 with a from 0 to 9 and b from 0 to 7; the class says whether a is above 4.
    const rows = Array.from({ length: 80 }, (_, row) => [row % 10, Math.floor(row / 10)] as const);
    const table = rows.map(([a, b]) => `${a},${b},${3 * a - 2 * b + 1},${a > 4 ? 'high' : 'low'}`);
    writeFileSync(join(folder, 'table.csv'), ['a,b,y,size', ...table].join('\n'));
    const csv = [
      'train',
      '--model',
      'mlp',
      '--data',
      'csv',
      '--option',
      'data.file=table.csv',
      '--option',
      'sampler.batchSize=16',
    ];
    const rate = ['--option', 'updateRule.learningRate=0.01', '--steps', '400', '--device', 'cpu'];

    const numbers = updraft(
      folder,
      ...csv,
      ...rate,
      '--option',
      'data.target=y',
      '--option',
      'data.features=["a","b"]',
      '--output',
      'numbers',
      '--json',
    );
    expect(numbers.stderr).toBe('');
    const evaluation = jsonLines(numbers.stdout).find(({ type }) => type === 'evaluation') as { loss: number };
    // The variance of y is 9 · 8.25 + 4 · 5.25 = 95.25: a line fits it, the mean does not.
    expect(evaluation.loss).toBeLessThan(95.25 / 50);

    const classes = updraft(
      folder,
      ...csv,
      ...rate,
      '--option',
      'data.target=size',
      '--option',
      'data.features=["a","b"]',
      '--output',
      'classes',
      '--json',
    );
    expect(classes.stderr).toBe('');
    expect(jsonLines(classes.stdout).find(({ type }) => type === 'evaluation')).toMatchObject({
      examples: 16,
      metrics: { accuracy: 1 },
    });
    expect(jsonLines(classes.stdout).find(({ type }) => type === 'export')).toMatchObject({
      outputs: ['logits'],
      check: expect.stringContaining('gets 16 of 16 right (100.00 %)'),
    });

    writeFileSync(join(folder, 'text.txt'), 'the cat sat on the mat. '.repeat(200));
    const text = updraft(
      folder,
      'train',
      '--model',
      'gpt',
      '--data',
      'text',
      '--option',
      'data.file=text.txt',
      '--option',
      'data.context=16',
      '--option',
      'model.width=32',
      '--option',
      'model.depth=1',
      '--option',
      'model.heads=2',
      ...rate,
      '--steps',
      '150',
      '--output',
      'text',
    );
    expect(text).toMatchObject({ status: 0, stderr: '' });
    expect(text.stdout).toContain("tokens: new ort.Tensor('int64', new BigInt64Array(16), [1, 16])");
    const records = metrics(join(folder, 'text'));
    const { metrics: found } = records.find(({ kind }) => kind === 'evaluation') as { metrics: { loss: number } };
    // Guessing evenly among the eleven characters that occur costs ln 11 = 2.40.
    expect(found.loss).toBeLessThan(1.5);
    const { texts } = records.find(({ kind }) => kind === 'texts') as { texts: { prompt: string; text: string }[] };
    expect('the cat sat on the mat. '.repeat(3)).toContain(texts[0]!.prompt);
    expect(texts[0]!.text.length).toBeGreaterThan(50);
  });
}, 180_000);

test('JSON, YAML, TypeScript and JavaScript give the same run', async () => {
  const config = {
    model: { name: 'mlp', options: { hidden: [8] } },
    data: 'moons',
    updateRule: { options: { learningRate: { type: 'cosine', from: 0.02, steps: 20 } } },
    steps: 20,
    device: 'cpu',
    output: 'run',
  };
  const text = JSON.stringify(config, null, 2);
  const files: Record<string, string> = {
    'config.json': text,
    'config.yaml':
      'model: { name: mlp, options: { hidden: [8] } }\ndata: moons\nupdateRule:\n  options:\n    learningRate: { type: cosine, from: 0.02, steps: 20 }\nsteps: 20\ndevice: cpu\noutput: run\n',
    'config.ts': `const steps: number = 20;\nexport const config: object = { ...${text}, steps };`,
    'config.mjs': `export const config = ${text};`,
  };
  const results: { hash: unknown; final: string }[] = [];
  for (const [name, content] of Object.entries(files))
    await inFolder((folder) => {
      writeFileSync(join(folder, name), content);
      expect(updraft(folder, 'train', name)).toMatchObject({ status: 0, stderr: '' });
      const { configHash } = metrics(join(folder, 'run'))[0] as { configHash: unknown };
      results.push({ hash: configHash, final: tensors(join(folder, 'run'), 20).toString('base64') });
    });
  expect(new Set(results.map(({ hash }) => hash)).size).toBe(1);
  expect(new Set(results.map(({ final }) => final)).size).toBe(1);
}, 120_000);
