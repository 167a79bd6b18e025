import { describe, expect, test } from '@jest/globals';
import { DataError } from '../errors.js';
import { gather } from '../dataset.js';
import { tableDataset } from '../table-dataset.js';
import { fitTable } from '../table-schema.js';
import { iris, vegaTable } from './tables.js';

describe('real tables', () => {
  test('iris has the published means and deviations', async () => {
    const table = await iris();
    const schema = fitTable(table, { target: 'species' });
    expect(table.rows.length).toBe(150);
    // Means as in the description of the data set at UCI.
    expect(schema.features.map((feature) => (feature.kind === 'numeric' ? feature.mean : Number.NaN))).toEqual(
      [5.843, 3.054, 3.759, 1.199].map((mean) => expect.closeTo(mean, 2) as unknown),
    );
    const dataset = tableDataset(table, schema);
    const { x, label } = gather(
      dataset,
      Array.from({ length: 150 }, (_, index) => index),
    );
    const values = x?.data as Float32Array;
    for (let feature = 0; feature < 4; feature++) {
      const column = Array.from({ length: 150 }, (_, row) => values[4 * row + feature] as number);
      expect(column.reduce((a, b) => a + b, 0) / 150).toBeCloseTo(0, 5);
      expect(column.reduce((sum, value) => sum + value * value, 0) / 150).toBeCloseTo(1, 5);
    }
    const counts = [0, 0, 0];
    for (const species of label?.data as BigInt64Array)
      counts[Number(species)] = (counts[Number(species)] as number) + 1;
    expect(counts).toEqual([50, 50, 50]);
  });

  test('penguins come from JSON, with gaps', async () => {
    const table = await vegaTable('penguins.json');
    expect(table.rows.length).toBe(344);
    expect(() => fitTable(table, { target: 'Species' })).toThrow(/is missing/);
    const schema = fitTable(table, { target: 'Species', missing: 'drop', markers: ['', '.'] });
    expect(schema.target).toEqual({ name: 'Species', kind: 'class', classes: ['Adelie', 'Chinstrap', 'Gentoo'] });
    // 344 penguins, 333 of them complete (Gorman et al. 2014).
    expect(tableDataset(table, schema).length).toBe(333);
  });

  test('weather comes from CSV; dates are free text', async () => {
    const table = await vegaTable('seattle-weather.csv');
    expect(table.rows.length).toBe(1461);
    expect(() => fitTable(table, { target: 'weather' })).toThrow(/"date" holds 1461 different names/);
    const features = ['precipitation', 'temp_max', 'temp_min', 'wind'];
    const schema = fitTable(table, { target: 'weather', features });
    expect(schema.target).toMatchObject({ classes: ['drizzle', 'fog', 'rain', 'snow', 'sun'] });
    expect(tableDataset(table, schema).columns['x']?.shape).toEqual([4]);
  });

  test('other files are refused', async () => {
    for (const file of ['../package.json', 'flights-3m.parquet', 'nothing.csv', 'volcano.json'])
      await expect(vegaTable(file)).rejects.toThrow(DataError);
  });
});
