import { elementCount, readElement, type TensorData } from '@updraft/graph';
import { batchBuffers, type Dataset } from './dataset.js';
import { DataError } from './errors.js';

/** Values of a column of scalars. @throws DataError for another column */
export function columnNumbers(dataset: Dataset, column: string): number[] {
  const spec = dataset.columns[column];
  if (spec === undefined || elementCount(spec.shape) !== 1)
    throw new DataError(
      spec === undefined
        ? `The dataset has no column "${column}".`
        : `The column "${column}" has shape [${spec.shape.join(', ')}]; one number per example is needed.`,
      { hint: `The dataset has: ${Object.keys(dataset.columns).join(', ')}.` },
    );
  const into = batchBuffers({ columns: { [column]: spec } }, 1)[column] as TensorData;
  return Array.from({ length: dataset.length }, (_, index) => {
    dataset.read(column, index, into, 0);
    return readElement(into, 0);
  });
}
