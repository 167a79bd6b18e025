import { arrayOf, type TensorData } from '@updraft/graph';
import { batchBuffers, exampleId, type Dataset } from './dataset.js';
import { DataError } from './errors.js';

export interface MeanPooledOptions {
  /** Column of images [channels, height, width] of floats. Default: image. */
  readonly column?: string;
  /** Height and width of the blocks whose mean replaces them. */
  readonly size: number;
}

/**
 * The same examples with smaller images: each block of `size` × `size` pixels becomes its mean. Images are read once and kept
 * in memory.
 *
 * @throws DataError for a column that holds no such images, and for sizes that are no multiple of the block's.
 */
export function meanPooled(dataset: Dataset, { column = 'image', size }: MeanPooledOptions): Dataset {
  const spec = dataset.columns[column];
  const [channels = 0, height = 0, width = 0] = spec?.shape ?? [];
  if (spec === undefined || spec.shape.length !== 3 || (spec.dataType !== 'float32' && spec.dataType !== 'float64'))
    throw new DataError(`The column "${column}" holds no images of floats [channels, height, width].`, {
      hint: `The dataset has: ${Object.keys(dataset.columns).join(', ')}.`,
    });
  if (!Number.isSafeInteger(size) || size < 1 || height % size !== 0 || width % size !== 0)
    throw new DataError(`Images of ${height} × ${width} have no blocks of ${size} × ${size}.`, {
      hint: 'Give a size that divides both.',
    });
  const [rows, columns] = [height / size, width / size];
  const count = channels * rows * columns;
  const pooled = new (arrayOf(spec.dataType))(dataset.length * count);
  const image = batchBuffers({ columns: { image: spec } }, 1)['image'] as TensorData<'float32'>;
  for (let index = 0; index < dataset.length; index++) {
    dataset.read(column, index, image, 0);
    for (let place = 0; place < channels * height * width; place++) {
      const row = Math.floor(Math.floor(place / width) / size);
      const at = index * count + row * columns + Math.floor((place % width) / size);
      pooled[at] = (pooled[at] as number) + (image.data[place] as number) / size ** 2;
    }
  }
  return {
    length: dataset.length,
    columns: { ...dataset.columns, [column]: { ...spec, shape: [channels, rows, columns] } },
    read(name, index, into, row) {
      if (name !== column) {
        dataset.read(name, index, into, row);
        return;
      }
      (into.data as Float32Array).set(pooled.subarray(index * count, (index + 1) * count), row * count);
    },
    id: (index) => exampleId(dataset, index),
  };
}
