import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ContractError } from '../errors.js';
import type { Check } from '../kit/contract-kit.js';
import { codeBlocks, type CodeBlock } from './markdown.js';

/** An example may take this long, in milliseconds. */
const EXAMPLE_TIME = 120_000;

/** Run from sources where this file is one: examples must see the same packages as the tests. */
const FROM_SOURCES = import.meta.url.endsWith('.ts');

/**
 * Checks that run the examples of a package's README: its blocks of TypeScript and JavaScript, each as a program in the
 * package's folder. One that is followed by a block of plain text must print just that.
 */
export async function exampleChecks(folder: URL): Promise<Check[]> {
  const root = fileURLToPath(folder);
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  return codeBlocks(readme)
    .filter(({ language }) => language === 'ts' || language === 'js')
    .map((example, index) => ({
      id: `example-${index + 1}`,
      title:
        example.output === undefined
          ? `example ${index + 1} of the README runs`
          : `example ${index + 1} of the README prints what it says`,
      run: () => runExample(example, root, `Example ${index + 1} of the README`),
    }));
}

/** Run an example as a program in a folder of the package, so that its dependencies are found. */
async function runExample({ text, output, language }: CodeBlock, root: string, what: string): Promise<void> {
  await mkdir(join(root, 'dist'), { recursive: true });
  const folder = await mkdtemp(join(root, 'dist', 'readme-'));
  try {
    const file = `example.m${language}`;
    await writeFile(join(folder, file), text);
    const { status, stdout, stderr } = await runScript(folder, file);
    if (status !== 0) throw new ContractError(`${what} fails:\n${stderr.trim()}`);
    if (output !== undefined && stdout !== output)
      throw new ContractError(`${what} prints\n\n${stdout}\ninstead of\n\n${output}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runScript(folder: string, file: string): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const conditions = FROM_SOURCES ? ['--conditions=@updraft/source'] : [];
  // The settings of the compiler that sources need (decorators), from the nearest file that has them.
  const settings = FROM_SOURCES
    ? { TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../../../tsconfig.base.json', import.meta.url)) }
    : {};
  const loader = pathToFileURL(resolveTsx(folder)).href;
  const child = spawn(process.execPath, ['--import', loader, ...conditions, file], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: '', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: EXAMPLE_TIME,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** tsx runs TypeScript on every Node that is supported. It is found from the package whose example it is. */
function resolveTsx(folder: string): string {
  for (let at = folder; ; at = join(at, '..')) {
    const path = join(at, 'node_modules/tsx/dist/loader.mjs');
    if (existsSync(path)) return path;
    if (join(at, '..') === at)
      throw new ContractError('Examples of READMEs are run with tsx, which is not installed.', {
        hint: 'Run "npm install --save-dev tsx".',
      });
  }
}
