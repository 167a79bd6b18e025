// A process that runs programs for another one: see child-backend.ts.
import {
  createBackend,
  type Backend,
  type Device,
  type HostTensors,
  type Program,
  type ResidentState,
} from '@updraft/backend';
import { loadModel } from '@updraft/graph';

/** What the parent may ask for, with what it sends. Programs and states are known by numbers. */
export interface Requests {
  readonly start: { readonly device: Device };
  readonly compile: {
    readonly model: Uint8Array;
    readonly resident?: readonly string[];
    readonly updates?: readonly (readonly [string, string])[];
  };
  readonly run: { readonly program: number; readonly feeds: HostTensors; readonly fetch?: readonly string[] };
  readonly step: Requests['run'] & { readonly state: number };
  readonly createState: { readonly values: HostTensors };
  readonly read: { readonly state: number; readonly names?: readonly string[] };
  readonly write: { readonly state: number; readonly values: HostTensors };
  readonly disposeProgram: { readonly program: number };
  readonly disposeState: { readonly state: number };
  readonly stop: object;
}

let backend: Backend | undefined;
const programs = new Map<number, Program>();
const states = new Map<number, ResidentState>();
let made = 0;

function known<T>(values: ReadonlyMap<number, T>, id: number): T {
  const value = values.get(id);
  if (value === undefined) throw new Error(`There is no number ${id}.`);
  return value;
}
const running = (): Backend => {
  if (backend === undefined) throw new Error('The backend was not started.');
  return backend;
};

const answers: { readonly [Name in keyof Requests]: (given: Requests[Name]) => Promise<unknown> } = {
  async start({ device }) {
    backend = await createBackend({ device });
    return { device: backend.device, description: backend.description };
  },
  async compile({ model, resident = [], updates = [] }) {
    const program = await running().compile(loadModel(model).graph, { resident, updates: new Map(updates) });
    programs.set(++made, program);
    const names = (values: Program['inputs']): string[] => values.map(({ name }) => name);
    return { program: made, inputs: names(program.inputs), outputs: names(program.outputs) };
  },
  run: ({ program, feeds, fetch }) => known(programs, program).run(feeds, fetch),
  step: ({ program, state, feeds, fetch }) => known(programs, program).step(known(states, state), feeds, fetch),
  async createState({ values }) {
    const state = await running().createState(values);
    states.set(++made, state);
    return { state: made, names: state.names, bytes: state.bytes };
  },
  read: ({ state, names }) => known(states, state).read(names),
  write: ({ state, values }) => known(states, state).write(values),
  async disposeProgram({ program }) {
    await known(programs, program).dispose();
    programs.delete(program);
  },
  async disposeState({ state }) {
    await known(states, state).dispose();
    states.delete(state);
  },
  async stop() {
    // The native device aborts the process when it ends with sessions alive.
    for (const program of programs.values()) await program.dispose();
    for (const state of states.values()) await state.dispose();
    await backend?.dispose();
  },
};

interface Message {
  readonly id: number;
  readonly call: keyof Requests;
  readonly given: never;
}

process.on('message', ({ id, call, given }: Message) => {
  answers[call](given)
    .then(
      (result) => ({ id, result }),
      (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
    )
    .then((answer) => {
      process.send?.(answer);
      if (call === 'stop') process.disconnect();
    })
    .catch(() => process.exit(1));
});
