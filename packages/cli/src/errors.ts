import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** The command line or a configuration cannot be followed. */
export class CliError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('cli', message, options);
  }
}

/** Why a file or folder could not be used, as an error that says what to do. */
export function fileError(what: string, error: unknown): CliError {
  const { code, message } = error as NodeJS.ErrnoException;
  const [why, hint] = {
    ENOSPC: ['the disk is full', 'Free some space, then run the same command again.'],
    EDQUOT: ['the disk quota is used up', 'Free some space, then run the same command again.'],
    EFBIG: ['the limit for the size of files is reached', 'Raise it, or write somewhere else.'],
    ENOENT: ['it does not exist', 'Check the path.'],
    ENOTDIR: ['a part of its path is no folder', 'Check the path.'],
    EISDIR: ['it is a folder', 'Give the path of a file.'],
    EACCES: ['access is denied', 'Check its permissions.'],
    EROFS: ['the disk is read-only', 'Choose another folder.'],
    EEXIST: ['a file of that name is in the way', 'Choose another folder.'],
  }[code ?? ''] ?? [message, undefined];
  return new CliError(`${what}: ${why}.`, { cause: error, ...(hint === undefined ? {} : { hint }) });
}
