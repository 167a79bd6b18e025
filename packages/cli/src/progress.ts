import type { TrainEvent } from '@updraft/core';
import { createLogUpdate } from 'log-update';

/** Where progress goes: text of a stream, and whether it is a terminal. */
export interface ProgressOutput {
  readonly stream: NodeJS.WriteStream;
  readonly terminal: boolean;
  /** Milliseconds, for the rates. Default: the clock of the process. */
  readonly now?: () => number;
}

/** `1 min 5 s`; a dash for what cannot be told. @param seconds Of any size; rounded to whole ones. */
export const durationText = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};

/** ` accuracy 0.9812`: metrics but the loss, and without those of single parameters. */
const metricsText = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .filter(([name]) => name !== 'loss' && !name.includes('/') && !name.endsWith('Norm'))
    .map(([name, value]) => `  ${name} ${value.toFixed(4)}`)
    .join('');

/** Time between two progress lines where there is no terminal, in milliseconds. */
const PLAIN_INTERVAL = 5000;
const TERMINAL_INTERVAL = 100;

/** Weight of the past in the loss that is shown; single batches jump. */
const SMOOTHING = 0.95;

/** Shows a run as it goes: one line that moves in a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #update: ReturnType<typeof createLogUpdate> | undefined;
  readonly #now: () => number;
  #device = '';
  #started = 0;
  #shown = -Infinity;
  #firstStep: number | undefined;
  #smooth = Number.NaN;

  constructor(readonly output: ProgressOutput) {
    this.#now = output.now ?? (() => performance.now());
    // Hiding the cursor would need to be undone however the process ends.
    this.#update = output.terminal ? createLogUpdate(output.stream, { showCursor: true }) : undefined;
  }

  /** A line that stays. */
  line(text: string): void {
    this.#update?.clear();
    this.output.stream.write(`${text}\n`);
  }

  handle(event: TrainEvent): void {
    switch (event.type) {
      case 'run-start':
        this.#device = event.device;
        this.line(`Device: ${event.description}`);
        this.line(
          event.resumedFrom === undefined
            ? `Training ${event.parameters.toLocaleString('en')} parameters for ${event.steps} steps, seed ${event.seed}.`
            : `Continuing from ${event.resumedFrom} to step ${event.steps}.`,
        );
        return;
      case 'step':
        this.#step(event);
        return;
      case 'evaluation':
        this.line(
          `step ${event.step}: test loss ${event.loss.toFixed(4)}${metricsText(event.metrics)} on ${event.examples} examples`,
        );
        return;
      case 'warning':
        this.line(`Warning: ${event.message}`);
        return;
      case 'run-end':
        this.line(
          `${event.reason === 'aborted' ? 'Stopped' : 'Done'} after step ${event.step}, ${durationText(event.milliseconds / 1000)}.`,
        );
        return;
      case 'compile':
      case 'checkpoint':
        return;
    }
  }

  #step({ step, steps, loss, metrics }: Extract<TrainEvent, { readonly type: 'step' }>): void {
    const now = this.#now();
    this.#smooth = Number.isNaN(this.#smooth) ? loss : SMOOTHING * this.#smooth + (1 - SMOOTHING) * loss;
    if (this.#firstStep === undefined) {
      // The first step includes compilation: rates count from its end.
      this.#firstStep = step;
      this.#started = now;
    }
    const interval = this.output.terminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL;
    if (now - this.#shown < interval && step < steps) return;
    this.#shown = now;
    const rate = ((step - this.#firstStep) / (now - this.#started)) * 1000;
    const pace = rate > 0 ? `  ${rate.toFixed(1)} steps/s  ${durationText((steps - step) / rate)} left` : '';
    const text = `step ${step}/${steps}  loss ${this.#smooth.toFixed(4)}${metricsText(metrics)}${pace}  ${this.#device}`;
    if (this.#update === undefined) this.line(text);
    else this.#update(text);
  }
}
