// Writes docs/operators.md from the registries: `npm run docs:operators`.
import { writeFileSync } from 'node:fs';
import { operatorTable } from '../../packages/autodiff/src/operator-table.js';

writeFileSync(new URL('../../docs/operators.md', import.meta.url), operatorTable());
