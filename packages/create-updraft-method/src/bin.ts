#!/usr/bin/env node
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { CONTRACTS, describeMethod } from './describe-method.js';
import { CreateError } from './errors.js';
import { methodFiles } from './method-files.js';

const USAGE = `npm create updraft-method <name> -- --contract <contract>

  name        kebab-case, with or without a scope: my-rule, @you/my-rule
  --contract  ${Object.keys(CONTRACTS).join(', ')}
  --folder    where to make it; default: a folder with the name of the method
`;

const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
).version;

/** An answer from the terminal; nothing is asked where there is none. */
async function ask(question: string, what: string): Promise<string> {
  if (!process.stdin.isTTY) throw new CreateError(`There is no ${what}.\n\n${USAGE}`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await terminal.question(question)).trim();
  } finally {
    terminal.close();
  }
}

function flagsOf() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { contract: { type: 'string' }, folder: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new CreateError(`${(error as Error).message}\n\n${USAGE}`, { cause: error });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = flagsOf();
  if (values.help === true) {
    process.stdout.write(USAGE);
    return;
  }
  if (positionals.length > 1) throw new CreateError(`One name is enough.\n\n${USAGE}`);
  const name = positionals[0] ?? (await ask('Name of the method (my-rule, @you/my-rule): ', 'name'));
  const contract = values.contract ?? (await ask(`Contract (${Object.keys(CONTRACTS).join(', ')}): `, 'contract'));
  const method = describeMethod({ name, contract, version });
  const folder = values.folder ?? method.folder;
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new CreateError(`The folder "${folder}" is not empty. Choose another one with --folder.`);
  const files = methodFiles(method);
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  process.stdout.write(
    `${method.packageName}: ${files.size} files in ${folder}\n\nNext:\n  cd ${folder}\n  npm install\n  npm test\n`,
  );
}

try {
  await main();
} catch (error) {
  if (!(error instanceof CreateError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
