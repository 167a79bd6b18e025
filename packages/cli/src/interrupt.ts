/** How a process ends that was told to stop, by the convention of shells: 128 and the number of the signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const;
type StopSignal = keyof typeof EXIT_CODES;

/**
 * Run what can stop in good order. The first Ctrl-C, SIGTERM, or reader that closes its pipe aborts the signal; a second
 * Ctrl-C or SIGTERM leaves at once.
 *
 * @param work Returns whether it came to its end; if not, the process ends with 128 and the number of the signal, so that
 *   what a script does next with the result is not done.
 */
export async function stoppable(work: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
  const controller = new AbortController();
  const stop = (name: StopSignal): void => {
    if (controller.signal.aborted && name !== 'SIGPIPE') process.exit(EXIT_CODES[name]);
    controller.abort(name);
  };
  const pipe = ({ code }: NodeJS.ErrnoException): void => {
    if (code === 'EPIPE') stop('SIGPIPE');
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  process.stdout.on('error', pipe);
  try {
    const completed = await work(controller.signal);
    if (!completed) process.exitCode = EXIT_CODES[controller.signal.reason as StopSignal];
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    process.stdout.off('error', pipe);
  }
}
