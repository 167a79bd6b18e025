import { figureText, settingText, type ExperimentProgress } from '@updraft/testing/experiment';
import { createLogUpdate } from 'log-update';
import { durationText } from '../progress.js';

/** Shows the runs of an experiment: one line that moves in a terminal, one line per run elsewhere. */
export class ReproduceProgress {
  readonly #update: ReturnType<typeof createLogUpdate> | undefined;
  #runs = 0;
  #text = '';
  /** Time and number of runs that were really run, for the estimate. */
  #spent = 0;
  #done = 0;
  #shown = -Infinity;

  constructor(
    readonly stream: NodeJS.WriteStream,
    terminal: boolean,
    readonly metric: string,
  ) {
    this.#update = terminal ? createLogUpdate(stream, { showCursor: true }) : undefined;
  }

  handle(event: ExperimentProgress): void {
    switch (event.type) {
      case 'begin':
        this.#runs = event.runs;
        return;
      case 'run-start':
        this.#text = `${event.index + 1}/${this.#runs}  ${event.arm} (${settingText(event.setting)}), seed ${event.seed}`;
        return;
      case 'run-progress':
        this.#move(event.fraction);
        return;
      case 'run-end': {
        const { run, remembered } = event;
        const figure = run.metrics[this.metric];
        const result = run.diverged ?? (figure === undefined ? 'done' : `${this.metric} ${figureText(figure)}`);
        this.#update?.clear();
        this.stream.write(
          `${this.#text}: ${result}${remembered ? ' (done before)' : `, ${durationText(run.milliseconds / 1000)}`}\n`,
        );
        if (!remembered) {
          this.#spent += run.milliseconds;
          this.#done += 1;
        }
        return;
      }
    }
  }

  /** What is shown of a run that is going on; ten times a second is enough. */
  #move(fraction: number): void {
    const now = performance.now();
    if (this.#update === undefined || now - this.#shown < 100) return;
    this.#shown = now;
    const index = Number.parseInt(this.#text, 10);
    const left =
      this.#done === 0
        ? ''
        : `  about ${durationText(((this.#spent / this.#done) * (this.#runs - index + 1 - fraction)) / 1000)} left`;
    this.#update(`${this.#text}: ${Math.round(100 * fraction)} %${left}`);
  }
}
