import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { exampleChecks } from '@updraft/testing/node';
import ts from 'typescript';
import { listPackages, root } from '../packages.mjs';

const packages = listPackages().map(({ folder }) => folder);
const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...packages.map((folder) => `${folder}/README.md`),
].filter((path) => existsSync(join(root, path)));

/** Blocks of TypeScript of a document; one under `<!-- continued -->` belongs to the one before. */
function examples(path: string): string[] {
  const markdown = readFileSync(join(root, path), 'utf8');
  const found: string[] = [];
  for (const [, continued, block = ''] of markdown.matchAll(/^(<!-- continued -->\n)?```ts\n([\s\S]*?)^```$/gm))
    if (continued === undefined) found.push(block);
    else found.push(`${found.pop() ?? ''}\n${block}`);
  return found;
}

test('the TypeScript of all documents compiles', () => {
  // Inside the repository, so that packages are found.
  mkdirSync(join(root, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(root, 'dist/examples-'));
  try {
    const origins = new Map<string, string>();
    for (const path of documents)
      examples(path).forEach((text, index) => {
        const file = join(folder, `${path.replaceAll(/\W/g, '-')}-${index + 1}.mts`);
        writeFileSync(file, `${text}\nexport {};\n`);
        origins.set(file, `${path}, example ${index + 1}`);
      });
    expect(origins.size).toBeGreaterThan(5);
    const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile) as { config: object };
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const program = ts.createProgram([...origins.keys()], {
      ...options,
      composite: false,
      declaration: false,
      declarationMap: false,
      noEmit: true,
      // As in a project of a user; what is declared in passing is for readers.
      noUncheckedIndexedAccess: false,
    });
    const problems = ts.getPreEmitDiagnostics(program).flatMap(({ file, start = 0, messageText }) => {
      const origin = origins.get(file?.fileName ?? '');
      if (file === undefined || origin === undefined) return [];
      const { line } = file.getLineAndCharacterOfPosition(start);
      return [`${origin}, line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`];
    });
    expect(problems).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);

// Packages of methods run theirs in package.test.ts, others in readme.test.ts.
const untested = packages.filter(
  (folder) =>
    existsSync(join(root, folder, 'README.md')) &&
    !['src/package.test.ts', 'src/readme.test.ts'].some((path) => existsSync(join(root, folder, path))),
);
const checks = await Promise.all(
  untested.map(async (folder) => ({ folder, checks: await exampleChecks(pathToFileURL(`${join(root, folder)}/`)) })),
);
describe.each(checks.filter((each) => each.checks.length > 0))('$folder', (each) => {
  test.each(each.checks.map(({ title, run }) => [title, run] as const))('%s', (_, run) => run(), 120_000);
});
