import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { UpdraftError } from '@updraft/graph';
import { CommanderError } from 'commander';
import { createProgram } from './program.js';
import { jsonLines, shell, updraft } from './testing/command.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'updraft-mistakes-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const moons = ['--model', 'mlp', '--data', 'moons', '--option', 'model.hidden=[8]', '--device', 'cpu'];
const train = (...flags: string[]) => updraft(folder, 'train', ...moons, '--steps', '20', ...flags);

/** Refused with exit code 1 and one line that says why, without a stack. */
function refused({ status, stdout, stderr }: ReturnType<typeof updraft>): string {
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.trim().split('\n')).toHaveLength(1);
  return stderr.trim();
}

/** The same without a process of its own: what the command throws. */
async function thrown(...flags: string[]): Promise<string> {
  const program = createProgram();
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  const error = await program.parseAsync(flags, { from: 'user' }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error instanceof UpdraftError || error instanceof CommanderError).toBe(true);
  return (error as Error).message;
}
const thrownByTrain = (...flags: string[]) => thrown('train', ...moons, '--steps', '20', ...flags);

describe('configurations', () => {
  test('every wrong option is told with its path, what is expected, and the nearest known name', async () => {
    expect(
      refused(
        train(
          '--option',
          'updateRule.learningrate=1',
          '--option',
          'updateRule.beta1=2',
          '--option',
          'model.hidden=4',
          '--option',
          'sampler.size=3',
        ),
      ),
    ).toBe(
      'Error (options): The configuration: "model.options.hidden" expected an array, got 4; ' +
        'there is no option "sampler.options.size"; did you mean "seed"? Known are: batchSize, seed, dropLast, epochs, transform; ' +
        'there is no option "updateRule.options.learningrate"; did you mean "learningRate"? Known are: learningRate, beta1, beta2, epsilon, weightDecay, decay; ' +
        '"updateRule.options.beta1" expected a number below 1, got 2.',
    );
    expect(await thrownByTrain('--option', 'updateRule.learningRate=[1]')).toContain(
      '"updateRule.options.learningRate" expected a number at least 0 or a schedule, got [1].',
    );
    expect(
      await thrownByTrain('--option', 'updateRule.learningRate={"type":"cosine","from":0.1,"steps":9,"too":0.01}'),
    ).toContain('"updateRule.options.learningRate": The schedule "cosine" has no "too". It has: from, to, steps.');
    expect(await thrownByTrain('--set', 'moniterEvery=4', '--set', 'seed="x"')).toMatch(
      /^The command line: there is no option "moniterEvery"; did you mean "monitorEvery"\? Known are: .*; "seed" expected a number, got "x"\.$/,
    );
    expect(await thrownByTrain('--set', 'steps.x=4')).toBe(
      '"steps.x" cannot be set: "steps" is no object. Set the whole value as JSON.',
    );
    expect(await thrown('train', '--steps', '5')).toBe(
      'The command line: "model" expected a name, or { name, options }, got nothing; "data" expected a name, or { name, options }, got nothing.',
    );
    expect(await thrownByTrain('--set', 'model={"name":"mlp","optoins":{}}')).toContain(
      '"model" expected a name, or { name, options }, got {"name":"mlp","optoins":{}}.',
    );
  }, 60_000);

  test.each([
    ['--model', 'mlpp', 'There is no model named "mlpp". Did you mean "mlp"?'],
    ['--data', 'mnits', 'There is no dataset named "mnits". Did you mean "mnist"?'],
    ['--update-rule', 'adamx', 'There is no update-rule named "adamx". Did you mean "adam" or "adamw"?'],
    ['--sampler', 'shufled', 'There is no sampler named "shufled". Did you mean "shuffled"?'],
    ['--reward', 'cross-entrophy', 'There is no reward named "cross-entrophy". Did you mean "cross-entropy"?'],
    ['--steps', 'many', "error: option '--steps <number>' argument 'many' is invalid. It is no whole number."],
    ['--steps', '-5', '"steps" expected a number above 0, got -5.'],
    ['--seed', '1.5', 'It is no whole number.'],
    ['--seed', '', 'It is no whole number.'],
    ['--device', 'tpu', 'Allowed choices are auto, webgpu, cuda, cpu.'],
    ['--option', 'learningRate=3', 'Write part.option=value'],
    ['--option', 'model.hidden', 'Write path=value'],
    ['--option', 'model.column=image', 'The data have no column "image" for the model. They have: x, label.'],
    ['--option', 'sampler.batchSize=3000', 'The batch size is 3000 for 2000 examples.'],
    ['--stpes', '4', "error: unknown option '--stpes'"],
  ])('%s %s', async (flag, value, message) => {
    expect(
      await thrown('train', '--model', 'mlp', '--data', 'moons', '--steps', '5', '--device', 'cpu', flag, value),
    ).toContain(message);
  });

  test('a model that does not fit the data', async () => {
    const common = ['--steps', '5', '--device', 'cpu'];
    expect(await thrown('train', '--model', 'lenet', '--data', 'moons', ...common)).toContain(
      'The model "lenet" takes images [channels, height, width]; the column "x" has [2].',
    );
    expect(await thrown('train', '--model', 'gpt', '--data', 'moons', ...common)).toContain(
      'The model needs "vocabulary", "context", which the data do not tell.',
    );
    expect(await thrown('trian')).toContain("unknown command 'trian'");
  });

  test('files that are no configuration', async () => {
    const at = (name: string): string => join(folder, name);
    for (const [name, content, message] of [
      ['a.json', '{"steps": ', ' cannot be read: Unexpected end of JSON input'],
      ['a.yaml', 'steps: [1', ' cannot be read: Flow sequence in block collection'],
      ['a.yml', '- 1', ' holds no object.'],
      ['a.toml', '', ' has an unknown ending. Known are: .json, .yaml, .yml, .ts, .mts, .js, .mjs.'],
    ] as const) {
      writeFileSync(at(name), content);
      expect(await thrown('train', at(name))).toContain(`The configuration "${at(name)}"${message}`);
    }
    expect(await thrown('train', at('none.yaml'))).toBe(
      `The configuration "${at('none.yaml')}" cannot be read: it does not exist. Check the path.`,
    );
    writeFileSync(at('a.ts'), 'export const other = 1;');
    expect(refused(updraft(folder, 'train', 'a.ts'))).toBe(
      'Error (cli): The configuration "a.ts" holds no object. A TypeScript or JavaScript file exports it as `config`.',
    );
    writeFileSync(
      at('b.yaml'),
      'model: mlp\ndata: moons\nsteps: 5\nupdateRule: { name: adamw, options: { bta1: 0.5 } }\n',
    );
    expect(await thrown('train', at('b.yaml'), '--device', 'cpu')).toContain(
      'there is no option "updateRule.options.bta1"; did you mean "beta1"',
    );
  }, 60_000);
});

describe('runs', () => {
  test('a loss that is no number ends the run with its step and the last good checkpoint, and a report', () => {
    const { status, stderr } = train(
      '--option',
      'updateRule.learningRate=1e30',
      '--set',
      'checkpointEvery=1',
      '--output',
      'nan',
    );
    expect(status).toBe(1);
    expect(stderr).toBe(
      'Error (non-finite): The loss is NaN at step 2. Lower the learning rate, clip gradients, or check the data; the last good checkpoint is "step-000000001".\n',
    );
    expect(readdirSync(join(folder, 'nan/checkpoints'))).toEqual(['step-000000001']);
    expect(readFileSync(join(folder, 'nan/report.html'), 'utf8')).toContain('The loss is NaN at step 2');
    const records = jsonLines(readFileSync(join(folder, 'nan/metrics.jsonl'), 'utf8'));
    expect(records.find(({ kind }) => kind === 'end')).toMatchObject({ reason: 'failed' });
  }, 180_000);

  test('a checkpoint of another model is refused with the tensors that differ, and nothing of its run is touched', () => {
    expect(train('--output', 'other').status).toBe(0);
    const before = readFileSync(join(folder, 'other/metrics.jsonl'), 'utf8');
    const evaluated = refused(updraft(folder, 'evaluate', '--output', 'other', '--option', 'model.hidden=[4,8]'));
    expect(evaluated).toContain(
      'The checkpoint step-000000020 in "other" belongs to another model: "dense.weight" is float32[2, 8], the model has float32[2, 4]; "dense.bias" is float32[8], the model has float32[4]; it lacks "dense1.weight" float32[4, 8]; it lacks "dense1.bias" float32[8]. Give the configuration',
    );
    expect(
      refused(updraft(folder, 'export', '--output', 'other', '--option', 'model.hidden=[4]', '--to', 'x.onnx')),
    ).toContain('belongs to another model');
    expect(readdirSync(folder)).not.toContain('x.onnx');
    expect(refused(train('--output', 'other', '--steps', '30', '--option', 'model.hidden=[4]'))).toContain(
      'The checkpoint "step-000000020" belongs to another pipeline: param/dense.weight is float32[2, 8], expected is float32[2, 4]',
    );
    expect(refused(train('--output', 'other', '--steps', '30', '--update-rule', 'adam'))).toContain(
      'its update rule is "adamw", not "adam"',
    );
    expect(readFileSync(join(folder, 'other/metrics.jsonl'), 'utf8')).toBe(before);
  }, 180_000);

  test('a damaged checkpoint is passed over with a warning; asked for, it is refused', () => {
    expect(train('--output', 'damaged', '--set', 'checkpointEvery=10').status).toBe(0);
    const file = join(folder, 'damaged/checkpoints/step-000000020/tensors.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    expect(refused(updraft(folder, 'evaluate', '--output', 'damaged', ...moons, '--steps', '20'))).toMatch(
      /The checkpoint "damaged.checkpoints.step-000000020" cannot be used: the checksum of tensors.safetensors is wrong\..* An earlier one is: --checkpoint step-000000010\.$/,
    );
    expect(
      updraft(folder, 'evaluate', '--output', 'damaged', ...moons, '--steps', '20', '--checkpoint', 'step-000000010')
        .stdout,
    ).toMatch(/^step-000000010 on cpu: loss \d\.\d{4}, accuracy \d\.\d{4} over 2000 test examples\n$/);
    expect(
      refused(updraft(folder, 'evaluate', '--output', 'damaged', ...moons, '--steps', '20', '--checkpoint', 'step-5')),
    ).toContain('There is no checkpoint "step-5" in "damaged". There are: step-000000010, step-000000020.');
    const resumed = train('--output', 'damaged', '--steps', '30');
    expect(resumed.status).toBe(0);
    expect(resumed.stdout).toMatch(/Warning: A damaged checkpoint was passed over\. .*step-000000020.*checksum/);
    expect(resumed.stdout).toContain('Continuing from step-000000010 to step 30.');
    expect(refused(updraft(folder, 'evaluate', '--output', 'empty'))).toContain('There is no checkpoint in "empty".');
  }, 180_000);

  test('a disk without room, a folder that cannot be made, a device that is not there', () => {
    // Files of at most 64 KiB: the tensors of this model take 3 × 4 × 12,802 bytes.
    const full = shell(
      folder,
      'ulimit -f 64; $UPDRAFT train --model mlp --data moons --option "model.hidden=[2560]" --steps 5 --device cpu --output full',
    );
    expect(full.status).toBe(1);
    expect(full.stderr).toMatch(
      /^Error \(checkpoint\): The disk quota or file size limit is reached: the checkpoint of step 5 was not written/,
    );
    expect(readdirSync(join(folder, 'full/checkpoints'))).toEqual([]);
    mkdirSync(join(folder, 'taken'));
    writeFileSync(join(folder, 'taken/file'), '');
    expect(refused(train('--output', 'taken/file/run'))).toContain('taken/file/run');
    const devices = JSON.parse(updraft(folder, 'devices', '--json').stdout) as { device: string; works: boolean }[];
    if (devices.some(({ device, works }) => device === 'cuda' && works)) return;
    expect(refused(train('--device', 'cuda', '--output', 'cuda'))).toMatch(
      /^Error \(device\): The device "cuda" cannot be used: .*Use device "auto" or "cpu"/,
    );
    expect(readdirSync(folder)).not.toContain('cuda');
  }, 180_000);
});
