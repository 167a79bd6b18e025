// Writes reports of made-up runs, to look at: `npx tsx --conditions=@updraft/source scripts/demo.ts <folder>`.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { foldRuns, renderReport, renderSvg } from '@updraft/report';
import { sampleRecords } from '../test/sample-runs.js';

const folder = process.argv[2] ?? 'demo';
await mkdir(folder, { recursive: true });
const one = foldRuns(sampleRecords());
const several = foldRuns(
  [
    { name: 'adamw', learningRate: 0.001 },
    { name: 'sgd', learningRate: 0.0003 },
  ].flatMap(({ name, learningRate }) =>
    [1, 2, 3].flatMap((seed) => sampleRecords({ name, group: name, seed, learningRate })),
  ),
);
await writeFile(join(folder, 'one.html'), renderReport(one));
await writeFile(join(folder, 'several.html'), renderReport(several, { baseline: 'sgd' }));
await writeFile(join(folder, 'loss.svg'), renderSvg(one));
