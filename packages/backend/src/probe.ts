import { encodeModel, Graph, matMul, tensor, type TensorData } from '@updraft/graph';
import { messageOf } from './ort-program.js';
import { toRuntime } from './host-tensors.js';
import type { Runtime } from './runtime.js';

/** What probing a device gave: how fast it is, or why it cannot be used. */
export type ProbeResult =
  { readonly works: true; readonly gigaflops: number } | { readonly works: false; readonly reason: string };

const SIZE = 512;
const RUNS = 4;
/** A device this slow is timed once: software adapters take seconds. */
const SLOW_MILLISECONDS = 200;

/** Run a small matrix product on a device: it must give the right numbers, and its speed ranks the device. */
export async function probe(runtime: Runtime): Promise<ProbeResult> {
  if (runtime.unavailable !== undefined) return { works: false, reason: runtime.unavailable };
  try {
    const graph = new Graph('probe');
    const a = graph.input('a', 'float32', [SIZE, SIZE]);
    graph.output(matMul(a, a).add(1), 'y');
    const session = await runtime.ort.InferenceSession.create(encodeModel(graph), {
      ...runtime.sessionOptions,
      executionProviders: [runtime.provider],
    });
    try {
      const value: TensorData = tensor(new Array<number>(SIZE * SIZE).fill(0.5), 'float32', [SIZE, SIZE]);
      const feeds = { a: toRuntime(runtime.ort, value) };
      let fastest = Infinity;
      for (let run = 0; run < RUNS; run++) {
        const start = performance.now();
        const result = await session.run(feeds);
        const y = (await result['y']?.getData()) as Float32Array;
        fastest = Math.min(fastest, performance.now() - start);
        const expected = SIZE * 0.25 + 1;
        if (Math.abs((y[SIZE * SIZE - 1] as number) - expected) > 1e-3)
          return { works: false, reason: `it computed ${y[SIZE * SIZE - 1]} instead of ${expected}` };
        if (fastest > SLOW_MILLISECONDS) break;
      }
      return { works: true, gigaflops: (2 * SIZE ** 3) / (fastest * 1e6) };
    } finally {
      await session.release();
    }
  } catch (error) {
    return { works: false, reason: firstSentence(messageOf(error)) };
  }
}

/** The part of a runtime's message that says something to a person: without file names and signatures. */
function firstSentence(text: string): string {
  const [line = text] = text.split('\n');
  const said = line.replace(/^(Error: )?\/\S+:\d+ [^\]]*?\)\s?(const)?[^:]*?(?=[A-Z])/, '');
  return (said === '' ? line : said).slice(0, 160);
}
