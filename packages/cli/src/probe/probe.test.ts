import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compareResult } from '@updraft/core';
import { encodeModel, Graph, modelOf, tensor } from '@updraft/graph';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMMAND, COMMAND_ENVIRONMENT } from '../testing/command.js';
import { prettyJson } from './read-input.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

interface Ended {
  readonly output: string;
  readonly error?: string;
  readonly code: number;
}

/** Run commands one after the other in a process of their own, in which Node finds packages as it does for people. */
function run(folder: string, commands: readonly (readonly string[])[], input = ''): Ended[] {
  const [node, ...flags] = COMMAND.slice(0, -1) as [string, ...string[]];
  const script = join(root, 'packages/cli/src/testing/commands-run.ts');
  const { status, stdout, stderr } = spawnSync(node, [...flags, script, JSON.stringify(commands)], {
    cwd: folder,
    input,
    encoding: 'utf8',
    env: COMMAND_ENVIRONMENT,
  });
  expect([status, stderr.includes('Error') ? stderr : '']).toEqual([0, '']);
  return JSON.parse(stdout) as Ended[];
}

let folder: string;
const write = (path: string, content: string | Uint8Array | object): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(
    join(folder, path),
    typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
  );
};
beforeAll(() => {
  // Inside this package, so that the packages of the workspace are found.
  const base = join(root, 'packages/cli/dist');
  mkdirSync(base, { recursive: true });
  folder = mkdtempSync(join(base, 'probe-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A method package in plain JavaScript: an update rule that subtracts `rate`. */
function addPackage(
  place: string,
  name: string,
  rule: string,
  rate: number,
  updraft: object = { contract: 'update-rule', contractVersion: 1 },
  extra = '',
): void {
  write(join(place, 'package.json'), {
    name,
    version: '1.0.0',
    type: 'module',
    exports: { import: './index.js' },
    updraft,
  });
  write(
    join(place, 'index.js'),
    `import { plugin, OPTIONS, defineOptions } from '@updraft/core';
     import { z } from 'zod';
     const options = defineOptions({ rate: z.number().min(0).default(${rate}).describe('Step.') });
     export class Rule {
       init() { return {}; }
       update({ params }) {
         return { params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, value.sub(${rate})])) };
       }
     }
     plugin({ name: '${rule}', contract: 'update-rule', options, summary: 'Subtracts.' })(Rule);
     export const halve = (value) => value / 2;
     ${extra}`,
  );
}

const gradientInput = JSON.stringify({ params: { w: [1] }, gradients: [{ w: [1] }] });

describe('installed packages', () => {
  test('are found where they lie; what is wrong with one shows when it is asked for', () => {
    write('package.json', {
      name: 'mine',
      private: true,
      workspaces: ['methods/*'],
      dependencies: { 'of-others': '*' },
    });
    addPackage('node_modules/@updraft/installed', '@updraft/installed', 'installed-rule', 0.25);
    addPackage('node_modules/of-others', 'of-others', 'others-rule', 0.5);
    addPackage('methods/own', '@mine/own', 'own-rule', 0.125);
    addPackage('node_modules/@updraft/twin-one', '@updraft/twin-one', 'twin', 1);
    addPackage('node_modules/@updraft/twin-two', '@updraft/twin-two', 'twin', 2);
    addPackage('node_modules/@updraft/older', '@updraft/older', 'older', 1, {
      contract: 'update-rule',
      contractVersion: 0,
    });
    addPackage('node_modules/@updraft/broken', '@updraft/broken', 'broken', 1, {}, 'import "not-there-at-all";');
    addPackage('elsewhere', 'elsewhere', 'far-rule', 0.75);
    const probe = (name: string, ...flags: string[]) => ['probe', name, gradientInput, '--compact', ...flags];
    const ended = run(folder, [
      probe('installed-rule'),
      probe('others-rule'),
      probe('own'),
      probe('far-rule', '--package', './elsewhere/index.js'),
      probe('twin'),
      probe('older'),
      probe('broken'),
      probe('far-rule'),
      ['probe', 'own', '{"call": "halve", "arguments": ["inf"]}', '--compact'],
      ['probe', 'own', '{"call": "half"}'],
      ['plugins', 'installed-*'],
      ['train', '--model', 'mlp', '--data', 'moons', '--steps', '1', '--update-rule', 'twin', '--output', 'run'],
    ]);
    const after = ended
      .slice(0, 4)
      .map(({ output }) => (JSON.parse(output) as { final: { params: unknown } }).final.params);
    expect(after).toEqual([{ w: [0.75] }, { w: [0.5] }, { w: [0.875] }, { w: [0.25] }]);
    const errors = ended.map(({ error }) => error);
    expect(errors[4]).toMatch(/named "twin": one of @updraft\/twin-one, one of @updraft\/twin-two/);
    expect(errors[5]).toMatch(/@updraft\/older was built for contract version 0; this is 1\. Install a release/);
    expect(errors[6]).toMatch(/"@updraft\/broken" in .* cannot be loaded: .*not-there-at-all/);
    expect(errors[7]).toMatch(/no plugin, package or export named "far-rule"/);
    expect(JSON.parse(ended[8]?.output ?? '')).toMatchObject({ export: '@mine/own#halve', result: 'inf' });
    expect(errors[9]).toMatch(/@mine\/own exports no "half"\. Did you mean "halve"/);
    expect(ended[10]?.output).toContain('installed-rule');
    expect(errors[11]).toMatch(/named "twin": one of @updraft\/twin-one/);
  }, 120_000);
});

describe('updraft probe', () => {
  test('reads files, the command line and the standard input; flags lie over the input', () => {
    write('input.json', { params: { w: [1] }, gradients: [{ w: [1] }], options: { learningRate: 0.5, momentum: 0.5 } });
    const [fromFile, inline, piped, schema] = run(
      folder,
      [
        ['probe', 'sgd', 'input.json', '--steps', '2', '--options', '{"learningRate": 0.25}'],
        ['probe', 'sgd', gradientInput, '--compact'],
        ['probe', 'sgd', '-', '--compact'],
        ['probe', 'sgd', '--schema'],
      ],
      '{"params": {"w": [4]}, "gradients": [{"w": [0]}]}',
    );
    // v = 1, 1.5: 1 − 0.25 − 0.375.
    expect(JSON.parse(fromFile?.output ?? '')).toMatchObject({
      plugin: 'sgd',
      device: 'cpu',
      options: { learningRate: 0.25, momentum: 0.5 },
      final: { params: { w: [0.375] } },
    });
    expect(fromFile?.output).toContain('"w": [0.375]');
    expect(JSON.parse(inline?.output ?? '')).toMatchObject({ options: { momentum: 0 } });
    expect(JSON.parse(piped?.output ?? '')).toMatchObject({ final: { params: { w: [4] } } });
    const shape = JSON.parse(schema?.output ?? '') as { properties: { options: { properties: object } } };
    expect(shape.properties).toHaveProperty('gradients');
    expect(shape.properties.options.properties).toHaveProperty('momentum');
  }, 120_000);

  test('samplers, rewards, aggregators, layers, compositions, files and reference models', () => {
    const graph = new Graph('loss');
    const x = graph.input('x', 'float32', ['batch']);
    const w = graph.constant(tensor(2, 'float32', []), 'float32', 'w');
    graph.output(x.sub(w).square().mean(), 'loss');
    write('loss.onnx', encodeModel(modelOf(graph)));
    const commands: readonly [name: string, input: object, expected: object][] = [
      [
        'in-order',
        {
          candidates: [
            { x: [1, 2], y: 0 },
            { x: [3, 4], y: 1 },
            { x: [5, 6], y: 0 },
          ],
          options: { batchSize: 2 },
          steps: 4,
        },
        {
          draws: [
            {
              size: 2,
              columns: {
                x: [
                  [1, 2],
                  [3, 4],
                ],
                y: [0, 1],
              },
            },
            { size: 1, columns: { x: [[5, 6]] } },
          ],
          ended: true,
        },
      ],
      [
        'huber',
        { inputs: { output: [0, 3], target: [0.5, 0] } },
        { loss: (0.125 + 2.5) / 2, gradients: { output: [-0.25, 0.5] } },
      ],
      ['median', { sources: [1, 7, 3].map((value) => ({ values: { w: value } })) }, { final: { result: { w: 3 } } }],
      [
        '@updraft/nn#layer-norm',
        { inputs: { x: [[1, 3]] }, outputGradients: { output: [[1, 0]] } },
        { outputs: { output: [[-1, 1]] }, gradients: { x: [[0, 0]] } },
      ],
      [
        'rules#chain',
        {
          arguments: [
            { export: 'clipByGlobalNorm', arguments: [1] },
            { export: '@updraft/rules#sgd', arguments: [{ learningRate: 1 }] },
          ],
          params: { w: [0, 0] },
          gradients: [{ w: [3, 4] }],
        },
        { contract: 'update-rule', final: { params: { w: [-0.6, -0.8] } } },
      ],
      [
        'sgd',
        {
          model: { type: 'onnx', file: 'loss.onnx', loss: 'loss' },
          params: { w: 1 },
          batches: [{ x: [2, 6] }],
          options: { learningRate: 0.5 },
        },
        // (1 + 25) / 2, and −2 · mean(1, 5).
        { steps: [{ loss: 13, params: { w: 4 } }] },
      ],
      [
        'sgd',
        {
          model: { type: 'layers', layers: [{ dense: { units: 1, bias: false } }, 'relu'] },
          reward: 'mean-squared-error',
          params: { 'dense.weight': [[1], [1]] },
          batches: [{ x: [[1, 2]], target: [[1]] }],
          options: { learningRate: 0.125 },
        },
        { steps: [{ loss: 4, params: { 'dense.weight': [[0.5], [0]] } }] },
      ],
      [
        'adam',
        {
          model: { type: 'mlp', hidden: [3], classes: 2 },
          reward: 'cross-entropy',
          batches: [
            {
              x: [
                [1, 2],
                [3, 4],
              ],
              label: [0, 1],
            },
          ],
          steps: 3,
        },
        { steps: [{ step: 1, metrics: {} }, { step: 2 }, { step: 3 }] },
      ],
      [
        'mean',
        {
          model: { type: 'expression', loss: '0.5 * (x - c)^2' },
          params: { x: 0 },
          federation: {
            clients: [{ batches: [{ c: 2 }] }, { batches: [{ c: 0 }], weight: 3 }],
            rounds: 2,
            localSteps: 2,
            updateRule: { name: 'sgd', options: { learningRate: 0.1 } },
          },
        },
        // A client moves 19 % of its way in two steps; the first has a quarter of the weight.
        { rounds: [{ params: { x: 0.095 } }, { params: { x: 0.095 * 0.81 + 0.095 } }] },
      ],
    ];
    const ended = run(
      folder,
      commands.map(([name, input]) => ['probe', name, JSON.stringify(input), '--compact']),
    );
    commands.forEach(([name, , expected], index) => {
      const { error, output } = ended[index] as Ended;
      expect([name, error]).toEqual([name, undefined]);
      expect([name, compareResult(JSON.parse(output), expected, { absolute: 1e-4 }).problems]).toEqual([name, []]);
    });
  }, 120_000);

  test('cases pass or fail, and the largest error is told', () => {
    const gradients = [{ w: [1] }];
    const good = {
      input: { params: { w: [1] }, gradients, options: { learningRate: 0.5 } },
      expected: { final: { params: { w: [0.5] } } },
    };
    write('good.json', {
      cases: [
        { name: 'half', plugin: 'sgd', ...good },
        { plugin: 'sgd', ...good, expected: { final: { params: { w: [0.501] } } }, tolerance: 0.01 },
        { plugin: 'sgd', input: { params: { w: ['nan'] }, gradients }, error: 'expected a finite number' },
      ],
    });
    write('bad.json', [
      { name: 'good', ...good },
      { name: 'bad', ...good, expected: { final: { params: { w: [0.501] } } } },
      { name: 'unknown', plugin: 'sgdd', ...good },
      { name: 'nothing to compare', ...good, expected: {} },
      { name: 'no error', ...good, expected: undefined, error: 'x' },
    ]);
    write('wrong.json', [{ plugin: 'sgd', input: [], tolerance: -1 }]);
    const [passing, failing, compact, wrong] = run(folder, [
      ['probe', '--cases', 'good.json'],
      ['probe', 'sgd', '--cases', 'bad.json'],
      ['probe', 'sgd', '--cases', 'bad.json', '--compact'],
      ['probe', '--cases', 'wrong.json'],
    ]);
    expect(passing?.code).toBe(0);
    expect(passing?.output.split('\n')).toEqual([
      'pass  half  largest error 0.00',
      'pass  case 2  largest error 0.00100 at final.params.w.0',
      'pass  case 3  largest error 0.00',
      '3 of 3 passed, largest error 0.00100',
      '',
    ]);
    expect(failing?.code).toBe(1);
    expect(failing?.output).toMatch(
      /FAIL {2}bad {2}largest error 0.00100 at final\.params\.w\.0\n {6}final\.params\.w\.0 is 0\.5, not 0\.501/,
    );
    expect(failing?.output).toMatch(/FAIL {2}unknown\n.*Did you mean "sgd"/);
    expect(failing?.output).toMatch(/holds no number to compare/);
    expect(failing?.output).toMatch(/there is a result, where the error "x" was expected/);
    expect(failing?.output).toMatch(/1 of 5 passed/);
    expect(
      compact?.output
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { passed: boolean }).passed),
    ).toEqual([true, false, false, false, false]);
    expect(wrong?.error).toMatch(/"cases\.0\.input" expected/);
  }, 120_000);

  test('what cannot be followed says why', () => {
    const commands: readonly [readonly string[], RegExp][] = [
      [['probe'], /not said what to probe/],
      [['probe', 'adamm', '{}'], /no plugin, package or export named "adamm"\. Did you mean "adamw?"/],
      [['probe', 'adam', '{"params": '], /The input is no JSON/],
      [['probe', 'adam', 'nowhere.json'], /"nowhere\.json" cannot be read: it does not exist/],
      [['probe', 'adam', '[1]'], /The input is no JSON object/],
      [['probe', 'adam', '-'], /standard input is empty/],
      [['probe', 'adam', gradientInput, '--options', '{"beta1": 2}'], /"beta1" expected a number below 1, got 2/],
      [['probe', 'adam', gradientInput, '--options', '{"beta": 0.1}'], /no option "beta"; did you mean "beta1"/],
      [['probe', 'muon', gradientInput], /Muon updates matrices; "w" has shape \[1\]/],
      [['probe', 'rules', gradientInput], /@updraft\/rules has \d+ plugins\. Name one of them: .*adam/],
      [['probe', '@updraft/nn#dens', '{}'], /exports no "dens"\. Did you mean "dense"/],
      [['probe', 'shuffled', '{}'], /was given no dataset/],
      [
        ['probe', 'sgd', '{"params": {"w": 1}, "model": {"type": "onnx", "file": "none.onnx"}}'],
        /"none\.onnx" cannot be read/,
      ],
      [
        ['probe', 'sgd', '{"params": {"w": 1}, "model": {"type": "expresion", "loss": "w"}}'],
        /no model named "expresion"\. Did you mean "expression"/,
      ],
    ];
    const ended = run(
      folder,
      commands.map(([command]) => command),
    );
    commands.forEach(([command, message], index) => {
      expect([command.join(' '), ended[index]?.error ?? ended[index]?.output]).toEqual([
        command.join(' '),
        expect.stringMatching(message),
      ]);
      expect(ended[index]?.code).toBe(1);
    });
  }, 120_000);
});

test('lists of numbers stand in one line', () => {
  expect(
    prettyJson({
      a: [
        [1, 2],
        ['x,y', null],
      ],
      b: {},
      c: [{ d: [] }],
    }),
  ).toBe('{\n  "a": [[1, 2], ["x,y", null]],\n  "b": {},\n  "c": [\n    {\n      "d": []\n    }\n  ]\n}');
});

test('the examples of the guide give what it shows', () => {
  const guide = readFileSync(join(root, 'docs/probe.md'), 'utf8');
  const files = [...guide.matchAll(/^`(\S+\.json)`:\n\n```json\n(.*?)```/gms)];
  for (const [, name, content] of files) write(name as string, content as string);
  const examples = [...guide.matchAll(/```sh\nupdraft (probe .*?)\n```\n\n```(json|text)\n(.*?)```/gs)];
  expect(examples.length).toBeGreaterThan(8);
  // As a shell takes them: words, and quoted texts.
  const words = (line: string): string[] =>
    [...line.replaceAll('\\\n', ' ').matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const ended = run(
    folder,
    examples.map(([, line]) => words(line as string)),
  );
  examples.forEach(([, line, kind, shown], index) => {
    const { output, error } = ended[index] as Ended;
    if (kind === 'text') expect(`${output}${error === undefined ? '' : `Error: ${error}`}`.trim()).toBe(shown?.trim());
    else
      expect([line, error, error ?? compareResult(JSON.parse(output), JSON.parse(shown as string)).problems]).toEqual([
        line,
        undefined,
        [],
      ]);
  });
}, 120_000);
