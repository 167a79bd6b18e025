import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** The device that was asked for cannot run programs here. */
export class DeviceUnavailableError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('device', message, options);
  }
}

/** ONNX Runtime refused a program. */
export class CompileError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('compile', message, options);
  }
}

/** A tensor given to a program does not fit its input; found before anything native sees it. */
export class FeedError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('feed', message, options);
  }
}

/** ONNX Runtime failed while running a program. */
export class RunError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('run', message, options);
  }
}

/** A program, state or backend was used after `dispose`. */
export class DisposedError extends UpdraftError {
  constructor(what: string) {
    super('disposed', `The ${what} was used after dispose().`, { hint: 'Dispose it when the last run is over.' });
  }
}
