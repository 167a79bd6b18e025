import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** The command from its sources, as a shell would start it. */
export const COMMAND = [
  process.execPath,
  '--import',
  join(root, 'node_modules/tsx/dist/loader.mjs'),
  '--conditions=@updraft/source',
  join(root, 'packages/cli/src/bin.ts'),
] as const;

/** Without what the test runner put in. */
export const COMMAND_ENVIRONMENT = {
  ...process.env,
  TSX_TSCONFIG_PATH: join(root, 'tsconfig.base.json'),
  // Other tests look for a software adapter; here the devices are those of the machine.
  VK_ICD_FILENAMES: '',
  VK_DRIVER_FILES: '',
  NODE_OPTIONS: '',
  FORCE_COLOR: '0',
};

/** What a finished command left. */
export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run `updraft` to its end. */
export const updraft = (cwd: string, ...flags: string[]): Finished => {
  const [node, ...rest] = COMMAND;
  const { status, stdout, stderr } = spawnSync(node, [...rest, ...flags], {
    cwd,
    encoding: 'utf8',
    env: COMMAND_ENVIRONMENT,
    maxBuffer: 1 << 26,
  });
  return { status, stdout, stderr };
};

/** Run a line of a shell in which `$UPDRAFT` is the command. */
export const shell = (cwd: string, line: string): Finished => {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', line], {
    cwd,
    encoding: 'utf8',
    env: { ...COMMAND_ENVIRONMENT, UPDRAFT: COMMAND.join(' ') },
  });
  return { status, stdout, stderr };
};

/** A running command. */
export interface Running {
  readonly child: ChildProcess;
  /** Standard output so far. */
  readonly stdout: () => string;
  /** Resolves once the standard output holds a text; rejects when the command ends without it. */
  readonly until: (text: string) => Promise<void>;
  /** Resolves with the exit status. */
  readonly ended: Promise<number | null>;
}

/** Start `updraft` without waiting for it. */
export function startUpdraft(cwd: string, ...flags: string[]): Running {
  const [node, ...rest] = COMMAND;
  const child = spawn(node, [...rest, ...flags], { cwd, env: COMMAND_ENVIRONMENT });
  let stdout = '';
  const waiting: { text: string; resolve: () => void; reject: (error: Error) => void }[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    for (const each of waiting) if (stdout.includes(each.text)) each.resolve();
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (status) => {
      for (const each of waiting) each.reject(new Error(`The command ended before "${each.text}": ${stdout}${stderr}`));
      resolve(status);
    });
  });
  return {
    child,
    stdout: () => stdout,
    until: (text) => new Promise((resolve, reject) => waiting.push({ text, resolve, reject })),
    ended,
  };
}

/** A folder that is removed afterwards. */
export async function inFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'updraft-cli-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** JSON values of lines. @throws SyntaxError for a line that is none. */
export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
