import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Graph } from '@updraft/graph';
import type { InferenceSession } from 'onnxruntime-common';
import type { ProfileEntry, ProfileSummary } from './backend.js';
import type { Profiler } from './ort-backend.js';

interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

const KERNEL = '_kernel_time';

/** Labels of the nodes of a graph by name, bodies included. */
function sourcesOf(graph: Graph, into = new Map<string, string>()): Map<string, string> {
  for (const node of graph.nodes) {
    into.set(node.name, node.source);
    for (const [, body] of node.subgraphs()) sourcesOf(body, into);
  }
  return into;
}

function totals(rows: Iterable<readonly [string, number]>): ProfileEntry[] {
  const sums = new Map<string, { milliseconds: number; calls: number }>();
  for (const [name, milliseconds] of rows) {
    const sum = sums.get(name) ?? { milliseconds: 0, calls: 0 };
    sums.set(name, { milliseconds: sum.milliseconds + milliseconds, calls: sum.calls + 1 });
  }
  return [...sums].map(([name, sum]) => ({ name, ...sum })).sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Collects the kernel times that ONNX Runtime writes to a file, and sums them by operator and by builder label. */
export function nodeProfiler(graph: Graph): Profiler {
  const folder = mkdtempSync(join(tmpdir(), 'updraft-profile-'));
  const sources = sourcesOf(graph);
  let summary: ProfileSummary | undefined;
  return {
    sessionOptions: { enableProfiling: true, profileFilePrefix: join(folder, 'profile') },
    summarize(session: InferenceSession): ProfileSummary {
      if (summary !== undefined) return summary;
      session.endProfiling();
      const [file] = readdirSync(folder);
      const events = file === undefined ? [] : (JSON.parse(readFileSync(join(folder, file), 'utf8')) as TraceEvent[]);
      rmSync(folder, { recursive: true, force: true });
      const kernels = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith(KERNEL));
      const runs = events.filter(({ name }) => name === 'model_run');
      const placed = (event: TraceEvent): string =>
        sources.get(event.name.slice(0, -KERNEL.length)) ?? '(fused by the runtime)';
      const operator = (event: TraceEvent) => [event.args?.op_name ?? event.name, event.dur / 1000] as const;
      summary = {
        runs: runs.length,
        milliseconds: runs.reduce((sum, { dur }) => sum + dur / 1000, 0),
        byOperator: totals(kernels.map(operator)),
        bySource: totals(kernels.map((event) => [placed(event), event.dur / 1000])),
        byNode: totals(kernels.map((event) => [event.name.slice(0, -KERNEL.length), event.dur / 1000])),
        byProvider: totals(kernels.map((event) => [event.args?.provider ?? 'unknown', event.dur / 1000])),
        onCpu: totals(kernels.filter(({ args }) => args?.provider === 'CPUExecutionProvider').map(operator)),
      };
      return summary;
    },
  };
}
