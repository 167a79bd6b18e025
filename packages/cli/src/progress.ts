import type { TrainEvent } from '@updraft/core';
import { createLogUpdate } from 'log-update';

/** Where progress goes: text of a stream, and whether it is a terminal. */
export interface ProgressOutput {
  readonly stream: NodeJS.WriteStream;
  readonly terminal: boolean;
}

const duration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
};

const metricsText = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .filter(([name]) => name !== 'loss' && !name.includes('/') && !name.endsWith('Norm'))
    .map(([name, value]) => `  ${name} ${value.toFixed(4)}`)
    .join('');

/** Lines between two progress lines where there is no terminal, in milliseconds. */
const PLAIN_INTERVAL = 5000;
const TERMINAL_INTERVAL = 100;

/** Shows a run as it goes: one line that moves in a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #update: ReturnType<typeof createLogUpdate> | undefined;
  #started = performance.now();
  #shown = -Infinity;
  #firstStep: number | undefined;
  #smooth = Number.NaN;

  constructor(readonly output: ProgressOutput) {
    this.#update = output.terminal ? createLogUpdate(output.stream) : undefined;
  }

  #line(text: string): void {
    this.#update?.clear();
    this.output.stream.write(`${text}\n`);
  }

  handle(event: TrainEvent): void {
    switch (event.type) {
      case 'run-start':
        this.#line(`Device: ${event.description}`);
        this.#line(
          event.resumedFrom === undefined
            ? `Training ${event.parameters.toLocaleString('en')} parameters for ${event.steps} steps, seed ${event.seed}.`
            : `Continuing from ${event.resumedFrom} to step ${event.steps}.`,
        );
        return;
      case 'step': {
        const now = performance.now();
        this.#smooth = Number.isNaN(this.#smooth) ? event.loss : 0.95 * this.#smooth + 0.05 * event.loss;
        if (this.#firstStep === undefined) {
          // The first step includes compilation: rates count from its end.
          this.#firstStep = event.step;
          this.#started = now;
        }
        const interval = this.output.terminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL;
        if (now - this.#shown < interval && event.step < event.steps) return;
        this.#shown = now;
        const rate = ((event.step - this.#firstStep) / (now - this.#started)) * 1000;
        const left = (event.steps - event.step) / rate;
        const text = `step ${event.step}/${event.steps}  loss ${this.#smooth.toFixed(4)}${metricsText(event.metrics)}  ${rate > 0 ? `${rate.toFixed(1)} steps/s  ${duration(left)} left` : ''}`;
        if (this.#update === undefined) this.#line(text);
        else this.#update(text);
        return;
      }
      case 'evaluation':
        this.#line(
          `step ${event.step}: test loss ${event.loss.toFixed(4)}${metricsText(event.metrics)} on ${event.examples} examples`,
        );
        return;
      case 'warning':
        this.#line(`Warning: ${event.message}`);
        return;
      case 'run-end':
        this.#line(
          `${event.reason === 'aborted' ? 'Stopped' : 'Done'} after step ${event.step}, ${duration(event.milliseconds / 1000)}.`,
        );
        return;
      case 'compile':
      case 'checkpoint':
        return;
    }
  }
}
