/** Named values of one kind, nested: parameters are flat (`{ 'dense1.weight': … }`), the state of a rule may nest. */
export interface TreeBranch<Leaf> {
  readonly [name: string]: Tree<Leaf>;
}
export type Tree<Leaf> = Leaf | TreeBranch<Leaf>;

/** A flat tree: what parameters and their gradients are. */
export type NamedValues<Leaf> = Readonly<Record<string, Leaf>>;

/** Replaces every leaf type of a tree type. */
export type MapLeaves<T, From, To> = T extends From ? To : { readonly [K in keyof T]: MapLeaves<T[K], From, To> };

/** Apply a function to every named value; several inputs must share the names of the first. */
export function mapValues<A, B>(values: NamedValues<A>, map: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value, name)]));
}

const SEPARATOR = '/';

/** Leaves with their paths (`momentum/dense1.weight`), in insertion order. */
export function flattenTree<Leaf>(
  tree: Tree<Leaf>,
  isLeaf: (value: Tree<Leaf>) => value is Leaf,
  path = '',
): [string, Leaf][] {
  if (isLeaf(tree)) return [[path, tree]];
  return Object.entries(tree).flatMap(([name, child]) =>
    flattenTree(child, isLeaf, path === '' ? name : `${path}${SEPARATOR}${name}`),
  );
}

/** The same tree with every leaf replaced by `map(leaf, path)`. */
export function mapTree<A, B>(
  tree: Tree<A>,
  isLeaf: (value: Tree<A>) => value is A,
  map: (leaf: A, path: string) => B,
  path = '',
): Tree<B> {
  if (isLeaf(tree)) return map(tree, path);
  return Object.fromEntries(
    Object.entries(tree).map(([name, child]) => [
      name,
      mapTree(child, isLeaf, map, path === '' ? name : `${path}${SEPARATOR}${name}`),
    ]),
  );
}
