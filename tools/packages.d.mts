/** The root folder, without a slash at its end. */
export declare const root: string;

/** Contract of the methods in a folder below `packages/`. */
export declare const METHOD_FOLDERS: Readonly<
  Record<'update-rules' | 'samplers' | 'rewards' | 'aggregators', 'update-rule' | 'sampler' | 'reward' | 'aggregator'>
>;

export interface PackageFolder {
  /** Relative to the root, with forward slashes. */
  readonly folder: string;
  /** Of packages of methods. */
  readonly contract: string | undefined;
  readonly manifest: Readonly<Record<string, unknown>> & { readonly name: string; readonly version: string };
}

/** All packages, in order of their folders. */
export declare function listPackages(): PackageFolder[];

/** The packages that hold one method each. */
export declare function listMethods(): PackageFolder[];
