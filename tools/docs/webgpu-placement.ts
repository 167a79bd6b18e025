// Measures where operators run on WebGPU and writes packages/autodiff/src/webgpu-placement.ts: `npm run docs:webgpu`.
// Needs an adapter; the software driver of Chromium will do.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { measureOperators, placements } from '../../packages/backend/src/testing/webgpu-process.js';
import { softwareAdapter } from '../jest/software-adapter.mjs';

const target = fileURLToPath(new URL('../../packages/autodiff/src/webgpu-placement.ts', import.meta.url));
const measured = await measureOperators(softwareAdapter());
const source = `// Measured by \`npm run docs:webgpu\`; a test of the backend keeps it true.

/** Where ONNX Runtime runs an operator when the device is WebGPU, after the backend has written out what it can. */
export interface WebGpuPlacement {
  /** \`partly\`: the runtime writes it out in others, of which some run on the CPU. */
  readonly runs: 'WebGPU' | 'partly' | 'CPU' | 'crashes';
  /** Operators that its gradient leaves to the CPU. */
  readonly gradient: readonly string[];
}

/** By qualified operator. */
export const WEBGPU_PLACEMENT: Readonly<Record<string, WebGpuPlacement>> = ${JSON.stringify(placements(measured))};
`;
writeFileSync(target, await format(source, { ...(await resolveConfig(target)), parser: 'typescript' }));
