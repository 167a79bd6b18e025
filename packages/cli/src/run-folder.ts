import { CheckpointError, type Checkpoint } from '@updraft/core';
import { FileCheckpointStore } from '@updraft/core/node';
import { existsSync } from 'node:fs';
import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from './errors.js';

/** The output folder of a run, and what lies where in it. */
export class RunFolder {
  readonly checkpoints: FileCheckpointStore;

  constructor(readonly path: string) {
    this.checkpoints = new FileCheckpointStore(this.checkpointFolder);
  }

  get checkpointFolder(): string {
    return join(this.path, 'checkpoints');
  }
  get metrics(): string {
    return join(this.path, 'metrics.jsonl');
  }
  get tensorBoard(): string {
    return join(this.path, 'tensorboard');
  }
  get report(): string {
    return join(this.path, 'report.html');
  }
  get model(): string {
    return join(this.path, 'model.onnx');
  }

  /** Make the folder. @throws CliError */
  async make(): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
    } catch (error) {
      throw fileError(`The output folder "${this.path}" cannot be made`, error);
    }
  }

  /** Keep an earlier run under another name. Its folder; undefined where there is none. @throws CliError */
  async setAside(): Promise<string | undefined> {
    if (!existsSync(this.checkpointFolder) && !existsSync(this.metrics)) return undefined;
    const aside = `${this.path.replace(/[\\/]+$/, '')}-${new Date().toISOString().replace(/[:.]/g, '-')}`;
    try {
      await rename(this.path, aside);
    } catch (error) {
      throw fileError(`The earlier run in "${this.path}" cannot be set aside`, error);
    }
    return aside;
  }

  /** Step of the newest checkpoint, where the model was exported after it: that of a run with nothing left to do. */
  async exportedStep(): Promise<number | undefined> {
    const name = (await this.checkpoints.list()).at(-1);
    if (name === undefined) return undefined;
    const [checkpoint, model] = await Promise.all(
      [join(this.checkpointFolder, name), this.model].map((path) => stat(path).catch(() => undefined)),
    );
    if (checkpoint === undefined || model === undefined || model.mtimeMs < checkpoint.mtimeMs) return undefined;
    return Number(name.slice(name.lastIndexOf('-') + 1));
  }

  /** A checkpoint by name, or the newest one. @throws CheckpointError for none, an unknown or a damaged one. */
  async newestCheckpoint(name?: string): Promise<{ readonly name: string; readonly checkpoint: Checkpoint }> {
    const names = await this.checkpoints.list();
    const chosen = name ?? names.at(-1);
    if (chosen === undefined)
      throw new CheckpointError(`There is no checkpoint in "${this.path}".`, {
        hint: 'Give the folder of a run with --output, or begin one with "updraft train".',
      });
    if (!names.includes(chosen))
      throw new CheckpointError(`There is no checkpoint "${chosen}" in "${this.path}".`, {
        hint: names.length === 0 ? 'There is none at all.' : `There are: ${names.join(', ')}.`,
      });
    try {
      return { name: chosen, checkpoint: await this.checkpoints.load(chosen) };
    } catch (error) {
      const earlier = names.slice(0, names.indexOf(chosen)).at(-1);
      if (!(error instanceof CheckpointError) || earlier === undefined) throw error;
      throw new CheckpointError(error.message, { cause: error, hint: `An earlier one is: --checkpoint ${earlier}.` });
    }
  }
}
