import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

/** A file of an installed package, whatever its exports say. */
export function realModel(packageName: string, path: string): Uint8Array {
  for (const root of require.resolve.paths(packageName) ?? [])
    try {
      return new Uint8Array(readFileSync(join(root, packageName, path)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  throw new Error(`${packageName}/${path} is not installed`);
}
