import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

test('the example of the README runs and leaves what it says', () => {
  const packageFolder = fileURLToPath(new URL('..', import.meta.url));
  const example =
    /```js\n(?<code>[\s\S]*?)```/u.exec(readFileSync(join(packageFolder, 'README.md'), 'utf8'))?.groups?.['code'] ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'updraft-readme-'));
  try {
    const code = example.replace("'runs/demo'", JSON.stringify(folder));
    const output = execFileSync(
      process.execPath,
      ['--import', 'tsx', '--conditions=@updraft/source', '--input-type=module', '-e', code],
      {
        cwd: packageFolder,
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
      },
    );
    expect(output).toBe('accuracy 0.97\n');
    expect(readdirSync(folder).sort()).toEqual(['loss.svg', 'metrics.jsonl', 'report.html', 'tensorboard']);
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('0.97');
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 30_000);
