// Runs the test programs on WebGPU and prints what they gave; the test bundles and runs it.
import { createBackend } from '../create-backend.js';
import { networkGraph, takeSteps } from './steps.js';

const backend = await createBackend({ device: 'webgpu' });
const steps = await takeSteps(backend, 5);
const { graph, values } = networkGraph();
const program = await backend.compile(graph, { profile: true });
const outputs = await program.run(values);
const network = Object.fromEntries(
  Object.entries(outputs).map(([name, value]) => [name, Array.from(value.data as Float32Array)]),
);
const fallen = program.profile()?.onCpu.map(({ name, calls }) => [name, calls]) ?? [];
// The native device aborts the process when it ends with sessions alive.
await program.dispose();
await backend.dispose();
process.stdout.write(JSON.stringify({ steps, network, fallen }));
