import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { parseIdx } from './idx.js';

/** Mean and standard deviation of the training images, with pixels in [0, 1]. */
const MEAN = 0.1307;
const DEVIATION = 0.3081;

/**
 * MNIST-like images from IDX bytes: `image` float32 [1, height, width], normalised as (pixel / 255 − 0.1307) / 0.3081,
 * and `label` int64. Images stay bytes in memory and are normalised as they are read.
 */
export function mnistFromIdx(images: Uint8Array, labels: Uint8Array): Dataset {
  const pictures = parseIdx(images, 'The file of images');
  const classes = parseIdx(labels, 'The file of labels');
  const [count, height, width] = pictures.dims;
  if (pictures.dims.length !== 3 || classes.dims.length !== 1 || count !== classes.dims[0])
    throw new DataError(`The images have shape [${pictures.dims.join(', ')}], the labels [${classes.dims.join(', ')}]: they do not belong together.`);
  const size = (height as number) * (width as number);
  const normalised = Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - MEAN) / DEVIATION);
  return {
    length: count as number,
    columns: {
      image: { dataType: 'float32', shape: [1, height as number, width as number] },
      label: { dataType: 'int64', shape: [] },
    },
    read(column, index, into, row) {
      if (column === 'label') {
        (into.data as BigInt64Array)[row] = BigInt(classes.data[index] as number);
        return;
      }
      const target = into.data as Float32Array;
      const [from, to] = [index * size, row * size];
      for (let pixel = 0; pixel < size; pixel++) target[to + pixel] = normalised[pictures.data[from + pixel] as number] as number;
    },
  };
}
